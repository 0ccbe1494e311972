"""What the kernel says of other processes (Linux; elsewhere nothing is known)."""

from pathlib import Path

GONE = ("Z", "X", "")


def is_running(pid: int) -> bool:
    """Whether it runs: a killed process that nobody has reaped yet (containers without an init) does not."""
    return _state(pid) not in GONE


def working_in(folder: Path) -> list[int]:
    """The running processes whose working directory is the folder."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if works_in(int(entry.name), folder)]


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process runs and its working directory is the folder."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve() and is_running(pid)
    except OSError:
        return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
