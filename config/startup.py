"""What `manage.py dev` looks at and prepares before anything serves. Refusals are sentences."""

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

LEAST_FREE_BYTES = 1_000_000_000


class CannotStartError(Exception):
    """Ratify cannot start here and now. The text is a sentence that says what to do."""


def check_space(var: Path) -> None:
    """Refuse to start a database on a disk that is about to be full."""
    var.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(var).free
    if free < LEAST_FREE_BYTES:
        raise CannotStartError(
            f"Only {free / 1e6:.0f} MB are free at {var}, and Ratify needs {LEAST_FREE_BYTES / 1e6:.0f} MB to work. "
            "Free some space, or set RATIFY_VAR to a folder on another disk."
        )


def lock(var: Path, *, site: str) -> TextIO:
    """Take the folder for this run, until the returned file is closed; a second run is told where the first is."""
    file = (var / "up.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        running = file.read().strip()
        file.close()
        raise CannotStartError(f"Ratify already runs from {var}, at {running}. Stop that one first.") from None
    file.truncate(0)
    file.write(f"{site}/\n")
    file.flush()
    return file


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for the web process."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as problem:
        listening.close()
        if problem.errno == errno.EADDRINUSE:
            sentence = f"Port {port} is taken by another program. Choose another: PORT={port + 1} bin/up"
        else:
            sentence = f"Cannot listen on {host}, port {port}: {problem.strerror}. Choose others with HOST and PORT."
        raise CannotStartError(sentence) from None
    listening.listen(256)
    return listening


def collect_static_files(manage: Path) -> subprocess.Popen[bytes]:
    """Begin to collect the static files under names that browsers may keep; leaving its context waits for the end."""
    command = [sys.executable, str(manage), "collectstatic", "--noinput", "--verbosity", "0"]
    return subprocess.Popen(command, env={**os.environ, "HASHED_STATIC": "1"}, stdin=subprocess.DEVNULL)


def first_administrator() -> AbstractBaseUser | None:
    """The oldest superuser who may sign in."""
    people = get_user_model()._default_manager
    return people.filter(is_superuser=True, is_active=True).order_by("pk").first()
