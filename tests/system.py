"""Ratify as a person starts it, with a `var` and a port of its own, for tests that drive it from outside."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg

from config.embedded import postgres
from config.embedded.identity import LAUNCH

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"Sign in as .*: (http\S+)")
STOPPED = "Nothing is lost"
# What gives each process of ours away on its command line.
MARKS = {
    "web": "config.server",
    "cpu": "--queues cpu",
    "gpu": "--queues gpu",
    "beat": "config beat",
    "broker": "valkey",
    "recipe": "training.recipes.",
}
# With a model this small, two threads mostly wait for each other, above all where the machine is busy.
ONE_THREAD = {"ENGINE_THREADS": "1", "OMP_NUM_THREADS": "1"}


class GaveUp(AssertionError):
    """Something that the system should do by itself did not happen in time."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T], what: str, *, seconds: float, every: float = 0.25) -> T:
    """Look until there is something, and return it."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise GaveUp(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return found


@dataclass
class System:
    """One installation. `settings` are environment variables: MODEL, ROUND_PRESET and whatever else a test needs."""

    var: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def site(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> Path:
        return self.var / "up.log"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY")
        }
        ours = {"RATIFY_VAR": str(self.var), "PORT": str(self.port), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "default"}
        return {**inherited, **ours, **self.settings}

    def start(self, *, seconds: float = 60) -> str:
        """Start everything; return the sign-in link that it prints."""
        self.var.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*LAUNCH, f"with-parent={os.getpid()}", "--", sys.executable, "manage.py", "dev"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return wait_for(self._link, f"a sign-in link in {self.log}", seconds=seconds, every=0.05)

    def _link(self) -> str:
        self.check_running()
        found = LINK.search(self.log.read_text(errors="replace"))
        return found[1] if found else ""

    def check_running(self) -> None:
        """Raise, with its last words, where the system has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            words = self.log.read_text(errors="replace")[-3000:]
            raise GaveUp(f"The system ended with status {self._process.returncode}:\n{words}")

    def stop(self) -> int:
        """Ask it to stop as Ctrl-C does; return its exit status. No-op when it does not run."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(timeout=60)
        self._process = None
        return status

    def processes(self, name: str) -> list[psutil.Process]:
        """The running processes of one name (see MARKS), oldest first."""
        assert self._process is not None
        found = []
        for child in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if MARKS[name] in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda process: process.create_time())

    def kill(self, name: str) -> None:
        """SIGKILL, to a process and all it started: none of them gets to say a word."""
        for process in self.processes(name):
            for child in [*process.children(recursive=True), process]:
                try:
                    child.kill()
                except psutil.NoSuchProcess:
                    continue

    def suspend(self, name: str) -> None:
        for process in self.processes(name):
            process.suspend()

    def resume(self, name: str) -> None:
        for process in self.processes(name):
            process.resume()

    def connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection of the test's own to the system's database."""
        self.check_running()
        where = str(postgres.socket_folder(self.var))
        return psycopg.connect(host=where, user=postgres.SUPERUSER, dbname=postgres.DATABASE)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.connection() as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def value(self, query: str, *parameters: object) -> Any:
        """The first column of the first row, or None."""
        found = self.rows(query, *parameters)
        return found[0][0] if found else None

    def manage(self, *arguments: str) -> str:
        """What a management command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> Any:
        """Run code in a Django process of this installation; what it leaves in `result` comes back through JSON."""
        lines = ["import json, sys, django", "django.setup()", "result = None", code, "print(json.dumps(result))"]
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            cwd=ROOT,
            env={"DJANGO_SETTINGS_MODULE": "config.settings", **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def status(self, path: str, *, seconds: float = 10) -> int:
        """The status of a GET without a session."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


def tiny_settings(model: Path) -> dict[str, str]:
    """The tiny model and the smallest rounds; votes count at once."""
    return {"MODEL": str(model), "ROUND_PRESET": "tiny", "UNDO_SECONDS": "0", **ONE_THREAD}


def file_proposal(system: System, principle: str, addition: str) -> int:
    """File a machine's proposal that adds a sentence to a clause of the head version; return its number.

    The real action in a process of its own, for when the model of a test finds nothing by itself.
    """
    code = f"""
from amendments.actions import propose
from amendments.models import Producer
from amendments.operations import Revise
from constitution.models import Version
head = Version.objects.head()
clause = next(clause for clause in head.texts() if clause.principle == {principle!r})
producer, _ = Producer.objects.get_or_create(model="a test", checkpoint="0" * 64, prompts="0" * 64)
revise = Revise(principle=clause.principle, before=clause.digest, text=clause.text + " " + {addition!r})
rationale = "The clause does not say what to do when a harmless request only sounds alarming."
result = propose(by=producer, base=head, operations=(revise,), rationale=rationale).pk
"""
    return int(system.python(code))


def sign_in_link(system: System, username: str = "admin") -> str:
    code = f"""
from config.sign_in import link_for
from constitution.models import User
result = link_for(User.objects.get(username={username!r}), site={system.site!r})
"""
    return str(system.python(code))
