"""Where the embedded services put their sockets."""

import hashlib
import os
import tempfile
from pathlib import Path

# A socket's whole path must fit the 108 bytes of sockaddr_un; `.s.PGSQL.5432.lock` is the longest name in it.
LONGEST_FOLDER = 85


def folder(home: Path) -> Path:
    """The folder for `home`'s socket: inside `home`, or a short one of our own where that is too long."""
    inside = home / "socket"
    if len(os.fsencode(inside)) <= LONGEST_FOLDER:
        return inside
    name = f"ratify-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    short = Path(tempfile.gettempdir()) / name
    return short if len(os.fsencode(short)) <= LONGEST_FOLDER else Path("/tmp") / name  # noqa: S108


def make_private(path: Path) -> None:
    """Make the folder with access for its owner only, or raise if someone else made it before us."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid not in (os.geteuid(), *_server_uids()):
        raise PermissionError(f"{path} belongs to another user; remove it and start again")
    path.chmod(0o700)


def _server_uids() -> list[int]:
    """Users that a root process may have handed the folder to (see `postgres`)."""
    if os.geteuid() != 0:
        return []
    from config.embedded.identity import server_user

    user = server_user()
    return [user.pw_uid] if user else []
