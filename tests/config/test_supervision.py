"""Children that die, that keep dying, that will not stop, and that have children of their own."""

import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from config import supervision
from config.supervision import Program, Supervisor
from tests.system import wait_for

SLEEP = "import time; print('awake', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"


class Log(list[str]):
    def say(self, name: str, line: str) -> None:
        self.append(f"{name}: {line}")

    def count_of(self, line: str) -> int:
        return sum(line in said for said in self)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def supervisor(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE", 0.01)
    supervisor = Supervisor(log.say)
    yield supervisor
    supervisor.stop_all()


def python(name: str, code: str, **options: float | bool) -> Program:
    return Program(name, [sys.executable, "-S", "-c", code], **options)  # type: ignore[arg-type]


def children() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def test_child_that_was_killed_is_started_again_with_a_sentence(supervisor: Supervisor, log: Log) -> None:
    supervisor.start(python("one", SLEEP))
    wait_for(lambda: log.count_of("one: awake") == 1, "the first life", seconds=5, every=0.01)
    children()[0].kill()
    wait_for(
        lambda: supervisor.look_after_all() and log.count_of("one: awake") == 2, "the second", seconds=5, every=0.01
    )
    assert log.count_of("one was killed by signal 9 after 0 s; starting it again in 0.01 s.") == 1


def test_child_that_keeps_failing_ends_the_whole(supervisor: Supervisor, log: Log) -> None:
    supervisor.start(python("one", "print('no luck')"))
    wait_for(lambda: not supervisor.look_after_all(), "giving up", seconds=10, every=0.01)
    tries = supervision.MOST_QUICK_FAILURES
    wait_for(lambda: log.count_of("one: no luck") == tries, "its last words", seconds=5, every=0.01)
    assert log.count_of("one keeps failing") == 1


def test_stop_kills_what_does_not_stop_in_time_and_says_so(supervisor: Supervisor, log: Log) -> None:
    supervisor.start(python("one", STUBBORN, grace=0.2))
    wait_for(lambda: log.count_of("awake"), "its life", seconds=5, every=0.01)
    supervisor.stop_all()
    assert children() == []
    assert log.count_of("one did not stop in time and was killed") == 1


def test_stop_reaches_the_children_of_a_group(supervisor: Supervisor, log: Log) -> None:
    supervisor.start(python("one", PARENT, stops_as_group=True))
    wait_for(lambda: log.count_of("awake"), "the grandchild", seconds=5, every=0.01)
    assert len(children()) == 2
    began = time.monotonic()
    supervisor.stop_all()
    assert children() == []
    assert time.monotonic() - began < 5


def test_stop_leaves_what_others_need_for_last(supervisor: Supervisor, log: Log) -> None:
    told = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('stopping', flush=True)));"
        + SLEEP
    )
    supervisor.start(python("broker", told, stops_last=True))
    supervisor.start(python("worker", told))
    wait_for(lambda: log.count_of("awake") == 2, "both", seconds=5, every=0.01)
    supervisor.stop_all()
    wait_for(lambda: log.count_of("stopping") == 2, "both last words", seconds=5, every=0.01)
    assert [line for line in log if "stopping" in line] == ["worker: stopping", "broker: stopping"]


def test_leftovers_of_a_killed_child_are_removed(supervisor: Supervisor, log: Log) -> None:
    supervisor.start(python("one", PARENT))
    wait_for(lambda: log.count_of("awake"), "the grandchild", seconds=5, every=0.01)
    parent = next(child for child in children() if child.children())
    grandchild = parent.children()[0]
    parent.send_signal(signal.SIGKILL)
    wait_for(lambda: supervisor.look_after_all() and not grandchild.is_running(), "its end", seconds=5, every=0.01)
