"""One stage of the recipe, as it is, with a watch on its training and on each look. Prints seconds."""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from transformers import Trainer

from training.recipes.looks import ConstitutionalCheckpoint
from training.recipes.run import conduct


class Watch:
    """Seconds that calls of some methods took, the watched one's own work alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.cpu = 0.0

    def on(self, kind: type, method: str, name: str) -> None:
        """Time every call of a method from now on, under a name."""
        work: Callable[..., Any] = getattr(kind, method)
        lasted = self.seconds.setdefault(name, [])

        def timed(*args: Any, **kw: Any) -> Any:
            began, cpu_began = time.perf_counter(), time.process_time()
            try:
                return work(*args, **kw)
            finally:
                lasted.append(time.perf_counter() - began)
                if name == "train":
                    self.cpu += time.process_time() - cpu_began

        setattr(kind, method, timed)


def main(root: str, stage: str) -> int:
    watch = Watch()
    watch.on(Trainer, "train", "train")
    watch.on(ConstitutionalCheckpoint, "on_train_begin", "begin")
    watch.on(ConstitutionalCheckpoint, "look", "look")
    code = conduct(stage, importlib.import_module(f"training.recipes.{stage}").work, [root])
    seconds = watch.seconds
    took = {"train": sum(seconds["train"]), "begin": sum(seconds["begin"]), "looks": seconds["look"]}
    print(json.dumps({**took, "cpu": watch.cpu}))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
