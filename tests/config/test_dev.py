"""`manage.py dev` as a person meets it: everything runs, says where, survives what it should, and stops."""

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import psutil
import psycopg
import pytest

from config.embedded import postgres
from tests.system import MARKS, ROOT, STOPPED, System, wait_for

pytestmark = pytest.mark.crash

# Nothing here is about the model, so none is loaded.
NO_MODEL = {"MODEL": "no-such-model"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("var of dev"), NO_MODEL)
    system.start()
    yield system
    assert system.stop() == 0
    assert STOPPED in system.log.read_text()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@contextmanager
def asking(system: System, path: str, *, session: str = "") -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("localhost", system.port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Cookie": f"sessionid={session}"} if session else {})
        with connection.getresponse() as response:
            yield response


def get(system: System, path: str, *, session: str = "") -> Answer:
    with asking(system, path, session=session) as response:
        return Answer(response.status, response.headers, response.read())


def make_link(system: System) -> str:
    """A sign-in link like the one that was printed, which the first sign-in of any test made worthless."""
    code = "from config import sign_in, startup\nresult = sign_in.link_for(startup.first_administrator(), site='')"
    return str(system.python(code))


def make_session(system: System) -> str:
    answer = get(system, make_link(system))
    assert answer.status == 302
    found = re.search(r"sessionid=(\w+)", " ".join(answer.headers.get_all("Set-Cookie", [])))
    assert found
    return found[1]


@contextmanager
def stream(system: System) -> Iterator[http.client.HTTPResponse]:
    with asking(system, "/events/", session=make_session(system)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield response


def next_topic(response: http.client.HTTPResponse) -> str:
    for line in response:
        if line.startswith(b"data: "):
            return line.removeprefix(b"data: ").decode().strip()
    return "(the stream ended)"


def wait_for_topic(response: http.client.HTTPResponse, topic: str) -> bool:
    """Read on to this topic. The coordinator publishes others meanwhile."""
    return any(next_topic(response) == topic for _ in range(20))


def is_listening(system: System) -> bool:
    with suppress(psycopg.OperationalError):
        return bool(system.value("SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN live'"))
    return False


def notify(system: System, topic: str) -> None:
    where = str(postgres.socket_folder(system.var))
    with psycopg.connect(host=where, user=postgres.SUPERUSER, dbname=postgres.DATABASE) as connection:
        connection.execute("SELECT pg_notify('live', %s)", [topic])


def up(system: System, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**system.environment, **changes}
    command = [sys.executable, "manage.py", "dev"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_second_start_says_where_the_first_is(system: System) -> None:
    second = up(system)
    assert second.returncode == 1
    assert f"Ratify already runs from {system.var}, at {system.site}/." in second.stderr


def test_start_on_a_taken_port_says_how_to_choose_another(system: System, tmp_path: Path) -> None:
    other = up(system, RATIFY_VAR=str(tmp_path))
    assert other.returncode == 1
    assert (
        f"Port {system.port} is taken by another program. Choose another: PORT={system.port + 1} bin/up" in other.stderr
    )
    assert not (tmp_path / "postgres").exists()


def test_sign_in_link_works_once(system: System) -> None:
    link = make_link(system)
    first = get(system, link)
    assert (first.status, first.headers["Location"]) == (302, "/")
    second = get(system, link)
    assert second.status == 403
    assert b"has been used or is out of date" in second.body


def test_events_without_a_session_are_refused(system: System) -> None:
    assert get(system, "/events/").status == 403
    assert get(system, "/events/", session="made-up").status == 403


def test_events_tell_every_page_of_a_published_topic(system: System) -> None:
    with stream(system) as one, stream(system) as other:
        assert next_topic(one) == "resync"
        assert next_topic(other) == "resync"
        wait_for(lambda: is_listening(system), "the listening connection", seconds=5)
        notify(system, "round:3")
        for page in (one, other):
            assert wait_for_topic(page, "round:3")


def test_events_go_on_after_the_database_was_killed(system: System) -> None:
    with stream(system) as page:
        assert next_topic(page) == "resync"
        server = postgres.Server(system.var)
        pid = server.pid()
        assert pid is not None
        os.kill(pid, 9)
        wait_for(lambda: server.pid() not in (None, pid) and is_listening(system), "a new one", seconds=20)
        assert wait_for_topic(page, "resync")
        notify(system, "round:4")
        assert wait_for_topic(page, "round:4")


def test_killed_web_process_comes_back_and_visitors_only_wait(system: System) -> None:
    before = system.processes("web")[0].pid
    system.kill("web")
    began = time.monotonic()
    assert get(system, "/healthz").status == 200
    assert time.monotonic() - began < 15
    assert system.processes("web")[0].pid != before
    assert "web was killed by signal 9" in system.log.read_text()


def test_killed_broker_and_workers_come_back_while_pages_answer(system: System) -> None:
    before = {name: system.processes(name)[0].pid for name in ("broker", "cpu", "beat")}
    for name in before:
        system.kill(name)
    assert system.status("/healthz") == 200

    def all_are_new() -> bool:
        return all(any(process.pid != pid for process in system.processes(name)) for name, pid in before.items())

    wait_for(all_are_new, "a new broker, cpu worker and beat", seconds=20)
    wait_for(lambda: b'"broker": true' in get(system, "/healthz").body, "the broker", seconds=5)


def test_web_beat_and_cpu_worker_do_not_load_torch(system: System) -> None:
    assert system.status("/accounts/login/") == 200
    for name in ("web", "beat", "cpu"):
        for process in system.processes(name):
            libraries = [library.path for library in process.memory_maps()]
            assert not [path for path in libraries if "/torch/" in path], name


def test_everything_ends_when_dev_itself_is_killed(tmp_path: Path) -> None:
    system = System(tmp_path, NO_MODEL)
    system.start()
    wait_for(lambda: all(system.processes(name) for name in ("broker", "web", "cpu", "beat")), "all", seconds=30)
    started = [process for name in MARKS for process in system.processes(name)]
    assert system._process is not None
    system._process.kill()
    system._process.wait()
    _, alive = psutil.wait_procs(started, timeout=15)
    assert alive == []
    # The database may run on, for nobody: whoever uses it next takes it over, and stops it.
    system.manage("showmigrations", "sessions")
    assert postgres.Server(tmp_path).pid() is None
