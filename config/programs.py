"""What `manage.py dev` runs, each with its command line."""

import importlib.util
import sys
from pathlib import Path

from config.embedded import valkey
from config.supervision import Program

CELERY = [sys.executable, "-m", "celery", "--quiet", "--app", "config"]
# One machine: no need to talk to other workers, nor to tell them that we live.
ALONE = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
CPU_PROCESSES = 2


def broker(var: Path) -> Program:
    return Program("broker", valkey.command(var), stops_last=True)


def web(listening: int) -> Program:
    command = [sys.executable, "-m", "config.server", str(listening)]
    return Program("web", command, {"HASHED_STATIC": "1"}, keeps=[listening])


def cpu_worker() -> Program:
    command = [*CELERY, "worker", "--queues", "cpu", "--hostname", "cpu@%h", "--concurrency", str(CPU_PROCESSES)]
    return Program("cpu", [*command, *ALONE])


def gpu_worker() -> Program:
    """One process and no pool: the model stays loaded in it, and a recipe it runs is its only child."""
    command = [*CELERY, "worker", "--queues", "gpu", "--hostname", "gpu@%h", "--pool", "solo"]
    return Program("gpu", [*command, *ALONE], stops_as_group=True)


def beat() -> Program:
    return Program("beat", [*CELERY, "beat", "--pidfile=", "--loglevel", "WARNING"])


def has_model_libraries() -> bool:
    return importlib.util.find_spec("torch") is not None
