"""What is looked at before anything serves, and the sentences it says."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from config import health, startup
from config.embedded import sockets, valkey


def test_check_space_on_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    startup.check_space(tmp_path / "var")
    monkeypatch.setattr(startup, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(startup.CannotStartError, match=r"Only \d+ MB are free at .*set RATIFY_VAR"):
        startup.check_space(tmp_path / "var")


def test_lock_is_free_again_when_the_first_run_ends(tmp_path: Path) -> None:
    first = startup.lock(tmp_path, site="http://localhost:1")
    with pytest.raises(startup.CannotStartError, match=r"already runs from .* at http://localhost:1/\."):
        startup.lock(tmp_path, site="http://localhost:2")
    first.close()
    startup.lock(tmp_path, site="http://localhost:2").close()


def test_listen_on_a_taken_port_names_another() -> None:
    with startup.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(startup.CannotStartError, match=f"PORT={port + 1} bin/up"):
            startup.listen("127.0.0.1", port)


def test_listen_on_a_foreign_address_says_so() -> None:
    with pytest.raises(startup.CannotStartError, match=r"Cannot listen on 192\.0\.2\.1"):
        startup.listen("192.0.2.1", 8000)


def test_socket_folder_is_short_however_long_the_path() -> None:
    near = Path("/srv/ratify/var/valkey")
    assert sockets.folder(near) == near / "socket"
    far = Path("/srv") / ("a very long name " * 8)
    assert len(os.fsencode(sockets.folder(far))) <= sockets.LONGEST_FOLDER
    assert sockets.folder(far) == sockets.folder(far)
    assert sockets.folder(far) != sockets.folder(far / "other")


def test_private_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "socket").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to another user"):
        sockets.make_private(tmp_path / "socket")


def test_has_broker_looks_behind_the_address() -> None:
    # A short path of its own: the socket's folder is then inside it, and goes with it.
    with tempfile.TemporaryDirectory(prefix="a b ", dir="/tmp") as var:
        url = valkey.url(Path(var))
        assert not health.has_broker(url)
        valkey.socket(Path(var)).parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as broker, socket.create_server(("127.0.0.1", 0)) as remote:
            broker.bind(str(valkey.socket(Path(var))))
            broker.listen()
            assert health.has_broker(url)
            assert health.has_broker(f"amqp://guest@127.0.0.1:{remote.getsockname()[1]}//")
