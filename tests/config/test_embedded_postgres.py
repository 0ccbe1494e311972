"""The embedded PostgreSQL, for real: cold, warm, shared, killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import postgres
from config.embedded.errors import EmbeddedError
from tests.system import ROOT, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.enable_socket]

# A process that uses the server until its standard input closes.
USER = """
import sys
from pathlib import Path
from config.embedded.postgres import Server
Server(Path(sys.argv[1])).ensure()
print("up", flush=True)
sys.stdin.read()
"""


def connect(server: postgres.Server) -> psycopg.Connection:
    return psycopg.connect(host=str(server.socket), user=postgres.SUPERUSER, dbname=postgres.DATABASE, autocommit=True)


def start_user(var: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(var)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def has_started(user: subprocess.Popen[str]) -> bool:
    assert user.stdout is not None
    return user.stdout.readline() == "up\n"


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate(timeout=20)
    assert user.returncode == 0


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long path with a space in it, where no socket would fit; made once, for all tests of this module."""
    return tmp_path_factory.mktemp("a folder with a long name " * 4)


@pytest.fixture
def server(var: Path) -> Iterator[postgres.Server]:
    server = postgres.Server(var)
    server.ensure()
    yield server
    server.leave()
    assert server.pid() is None


def test_ensure_on_an_empty_folder_makes_the_database(server: postgres.Server) -> None:
    with connect(server) as connection:
        encoding, durable = connection.execute("SHOW server_encoding").fetchone(), connection.execute("SHOW fsync")
        assert encoding == ("UTF8",)
        assert durable.fetchone() == ("on",)


def test_ensure_keeps_folders_private(server: postgres.Server, var: Path) -> None:
    assert server.data.stat().st_mode & 0o777 == 0o700
    assert server.socket.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(server.socket)) < 90 < len(os.fsencode(var))


def test_second_start_is_quick_and_keeps_rows(server: postgres.Server) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS number")
    server.leave()
    assert server.pid() is None

    began = time.monotonic()
    server.ensure()
    assert time.monotonic() - began < 3
    with connect(server) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (1,)


def test_two_processes_at_once_share_one_server_until_the_last_leaves(var: Path) -> None:
    server = postgres.Server(var)
    users = [start_user(var), start_user(var)]
    assert all(has_started(user) for user in users)
    pid = server.pid()
    assert pid is not None
    leave(users[0])
    assert server.pid() == pid
    leave(users[1])
    assert server.pid() is None


def test_killed_user_does_not_count(var: Path, server: postgres.Server) -> None:
    user = start_user(var)
    assert has_started(user)
    user.kill()
    user.communicate()
    server.leave()
    assert server.pid() is None


def test_killed_server_is_up_again_for_the_next_write(server: postgres.Server) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS written (number int)")
        connection.execute("INSERT INTO written VALUES (1)")
        pid = server.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

        began = time.monotonic()
        wait_for(lambda: server.pid() is None, "the server's death", seconds=5, every=0.01)
    server.ensure()
    with connect(server) as again:
        again.execute("INSERT INTO written VALUES (2)")
        assert again.execute("SELECT count(*) FROM written").fetchone() == (2,)
        again.execute("DROP TABLE written")
    assert time.monotonic() - began < 5


def test_stale_pid_file_of_a_process_that_is_now_another_is_cleared(server: postgres.Server) -> None:
    server.leave()
    lines = [str(os.getpid()), str(server.data), "0", "5432", str(server.socket), "", "", "ready"]
    (server.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert not server.is_ready()
    server.ensure()
    assert server.pid() not in (None, os.getpid())


def test_ensure_on_another_major_version_says_what_to_do(tmp_path: Path) -> None:
    server = postgres.Server(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 9.*restore the dump"):
        server.ensure()
    server.leave()


def test_ensure_on_a_folder_with_something_else_leaves_it_alone(tmp_path: Path) -> None:
    server = postgres.Server(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "letter.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="no finished database"):
        server.ensure()
    server.leave()
    assert (server.data / "letter.txt").read_text() == "mine"
