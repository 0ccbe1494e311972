"""As whom the embedded PostgreSQL runs: as ourselves, or, where we are root, as someone else."""

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LAUNCH = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]


@dataclass(frozen=True)
class Identity:
    """`prefix` goes before a command's arguments; `user` is whom to become first, if anyone."""

    prefix: tuple[str, ...] = ()
    user: pwd.struct_passwd | None = None


def server_user() -> pwd.struct_passwd | None:
    """The ordinary user that stands in for root where namespaces are not allowed."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def choose() -> Identity:
    if os.geteuid() != 0:
        return Identity()
    namespace = (*LAUNCH, "user-namespace", "--")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return Identity(prefix=namespace)
    return Identity(user=server_user())


def hand_over(folder: Path, user: pwd.struct_passwd) -> None:
    """Give a folder and all in it to the user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
