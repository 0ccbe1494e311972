"""Keeping child processes alive: started again when they die, stopped in order, gone when we are."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from config.embedded.identity import LAUNCH

QUICK_SECONDS = 10.0  # a child that dies younger than this has failed quickly
MOST_QUICK_FAILURES = 6  # in a row, before everything is stopped
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0

Say = Callable[[str, str], None]  # (name of the speaker, line)


@dataclass(frozen=True)
class Program:
    """What to run. `stops_as_group`: its own children are asked to stop with it; `stops_last`: others need it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    keeps: Sequence[int] = ()  # open descriptors that it inherits
    grace: float = 10.0  # seconds between asking it to stop and killing it
    stops_as_group: bool = False
    stops_last: bool = False


class Child:
    """One program, over all its lives. Every life is a process group of its own."""

    def __init__(self, program: Program, say: Say) -> None:
        self.program = program
        self.quick_failures = 0
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0
        self._next_life: float | None = None

    def start(self) -> None:
        environment = {**os.environ, **self.program.environment, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [*LAUNCH, f"with-parent={os.getpid()}", "--", *self.program.command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self.program.keeps,
            start_new_session=True,
        )
        self._process, self._born, self._next_life = process, time.monotonic(), None
        threading.Thread(target=self._repeat_output, args=[process.stdout], daemon=True).start()

    def look_after(self) -> None:
        """Notice a death, and start again when its pause is over. Call often."""
        if self._next_life is not None:
            if time.monotonic() >= self._next_life:
                self.start()
        elif self._process and self._process.poll() is not None:
            self._mourn(self._process)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        self._next_life = None
        if self._process and self.is_running():
            if self.program.stops_as_group:
                _signal_group(self._process.pid, signal.SIGTERM)
            else:
                self._process.terminate()

    def see_off(self, deadline: float) -> None:
        """Wait for the end of a child that was asked to stop; past the deadline, end it and all its children."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say("up", f"{self.program.name} did not stop in time and was killed; it resumes at the next start.")
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _mourn(self, process: subprocess.Popen[bytes]) -> None:
        _signal_group(process.pid, signal.SIGKILL)  # whatever it left behind
        lived = time.monotonic() - self._born
        self.quick_failures = self.quick_failures + 1 if lived < QUICK_SECONDS else 1
        pause = min(FIRST_PAUSE * 2 ** (self.quick_failures - 1), LONGEST_PAUSE)
        self._next_life = time.monotonic() + pause
        how = f"was killed by signal {-process.returncode}" if process.returncode < 0 else "ended by itself"
        self._say("up", f"{self.program.name} {how} after {lived:.0f} s; starting it again in {pause:g} s.")

    def _repeat_output(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                self._say(self.program.name, line.decode(errors="replace").rstrip())


class Supervisor:
    """The children of one run. Must be used from the main thread: a child goes with the thread that started it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._children: list[Child] = []

    def start(self, program: Program) -> Child:
        child = Child(program, self._say)
        self._children.append(child)
        child.start()
        return child

    def look_after_all(self) -> bool:
        """Start again what died. False when one child keeps dying at once and there is no point in going on."""
        for child in self._children:
            child.look_after()
            if child.quick_failures >= MOST_QUICK_FAILURES:
                self._say("up", f"{child.program.name} keeps failing; its lines above say why. Stopping everything.")
                return False
        return True

    def stop_all(self) -> None:
        """Ask all to stop and wait for them; those that the others need are asked when the others are gone."""
        for last in (False, True):
            wave = [child for child in reversed(self._children) if child.program.stops_last is last]
            for child in wave:
                child.ask_to_stop()
            asked = time.monotonic()
            for child in wave:
                child.see_off(asked + child.program.grace)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
