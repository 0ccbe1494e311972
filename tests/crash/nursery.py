"""Lives of a round's stages that begin in a moment: the libraries are loaded once, and each life is a fork.

`python -m tests.crash.nursery` reads a run directory a line, works in it as the runner has the stages do, acknowledges
each pause, and tells a line at a time: `pid N`, `stage NAME` as each begins, `end N` with the status of the life.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import training.recipes.run as frame
from training.recipes.plan import STAGES


def live(root: Path) -> int:
    """Every stage that is not done, one after the other; the first status that is no pause and not 0, else 0."""
    for stage in STAGES:
        if (root / stage / "done.json").exists():
            continue
        tell("stage", stage)
        work = importlib.import_module(f"training.recipes.{stage}").work
        while (code := frame.conduct(stage, work, [str(root)])) == frame.EXIT_PAUSED:
            acknowledge(root)
        if code:
            return code
    return 0


def acknowledge(root: Path) -> None:
    """As the runner does when a person lets the round go on; a pause that comes twice for one look is an error."""
    step, looks = json.loads((root / "pause.json").read_text())["step"], frame.acknowledged_looks(root)
    if step in looks:
        raise AssertionError(f"the look at step {step} was acknowledged and pauses again")
    (root / "acknowledged.json").write_text(json.dumps({"looks": sorted({*looks, step})}))


def tell(*words: object) -> None:
    os.write(1, " ".join(str(word) for word in words).encode() + b"\n")


def main() -> None:
    for stage in STAGES:
        importlib.import_module(f"training.recipes.{stage}")
    tell("ready")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            tell("pid", os.getpid())  # by the life itself, so that it comes before its first stage
            os._exit(live(Path(line.rstrip("\n"))))
        tell("end", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
