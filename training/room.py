"""Whether this machine has room for heavy work, and whether its device is free."""

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
MIB = 2**20
DRIVER_SECONDS = 10


def host() -> str:
    """What this machine calls itself."""
    return socket.gethostname()


def lacking() -> str:
    """What is too little to start anything, as a sentence; empty where there is room."""
    disk, memory = free_disk(), free_memory()
    if disk < settings.FREE_DISK_MB * MIB:
        return (
            f"Only {_size(disk)} of disk are free where files are kept on {host()}; "
            f"{_size(settings.FREE_DISK_MB * MIB)} are needed to start. It starts by itself once there is room. "
            "“manage.py prune_models” removes weights that nobody promoted."
        )
    if memory is not None and memory < settings.FREE_MEMORY_MB * MIB:
        return (
            f"Only {_size(memory)} of memory are free on {host()}; "
            f"{_size(settings.FREE_MEMORY_MB * MIB)} are needed to start. It starts by itself once there is room."
        )
    return _lacking_on_gpu()


def free_disk() -> int:
    """Bytes that are free where rounds and models are kept."""
    return shutil.disk_usage(settings.VAR).free


def free_memory(machine: Path = MEMORY, group: Path = GROUP) -> int | None:
    """Bytes that this process and its children can still have: of the machine, and of the container where it has a
    bound. None where the system does not say.
    """
    found = [size for size in (_of_machine(machine), _of_group(group)) if size is not None]
    return min(found, default=None)


def free_gpu_memory() -> int | None:
    """Bytes free on the fullest of the GPUs that this process may use, as its driver says; None without one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    driver = shutil.which("nvidia-smi")
    if settings.ENGINE_DEVICE == "cpu" or visible == "" or driver is None:
        return None
    command = [
        driver,
        "--query-gpu=memory.free",
        "--format=csv,noheader,nounits",
        *(["--id", visible] if visible else []),
    ]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DRIVER_SECONDS).stdout
        return min((int(line) * MIB for line in told.split()), default=None)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # a driver that does not answer is told of by the stage that needs it


@contextmanager
def device() -> Iterator[bool]:
    """Whether the device is ours: of the workers with the same files, one at a time uses it. A kill frees it."""
    chosen = "cpu" if settings.ENGINE_DEVICE == "cpu" else os.environ.get("CUDA_VISIBLE_DEVICES", "") or "all"
    name = "".join(c if c.isalnum() else "-" for c in f"{host()} {chosen}")
    folder = Path(settings.VAR) / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lacking_on_gpu() -> str:
    free = free_gpu_memory()
    if free is None or free >= settings.FREE_GPU_MEMORY_MB * MIB:
        return ""
    return (
        f"Only {_size(free)} of the GPU's memory are free on {host()}; "
        f"{_size(settings.FREE_GPU_MEMORY_MB * MIB)} are needed to start. “nvidia-smi” lists what holds it. "
        "It starts by itself once there is room."
    )


def _of_machine(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    words = sizes.get("MemAvailable", "").split()
    return int(words[0]) * 1024 if words else None


def _of_group(folder: Path) -> int | None:
    """Of a cgroup (version 2): its bound less what is used; what files are cached in can be had back."""
    try:
        bound, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines()).get(
            "inactive_file", 0
        )
        return None if bound == "max" else max(0, int(bound) - int(used) + int(cached))
    except (OSError, ValueError):
        return None


def _size(size: int) -> str:
    return f"{size / 10**9:.1f} GB"
