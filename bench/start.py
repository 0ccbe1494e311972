"""From `bin/up` to the first page, on an installation that was started before: median of five."""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path

from tests.system import System, wait_for


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=5)
    times = options.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder) / "var")
        first = measure(system)
        print(f"{'start':>8}  seconds to the first page")
        print(f"{'first':>8}  {first:6.2f}   (makes the database, the tables and the seed)")
        later = []
        for number in range(2, times + 2):
            later.append(measure(system))
            print(f"{number:>8}  {later[-1]:6.2f}")
    median = statistics.median(later)
    print(json.dumps({"bench": "start", "first": round(first, 2), "median": round(median, 2), "n": times}))


def measure(system: System) -> float:
    """Seconds from the start of the command to the first page with status 200. Leaves nothing running."""
    began = time.perf_counter()
    system.start()
    wait_for(lambda: has_page(system), "a page", seconds=60, every=0.02)
    taken = time.perf_counter() - began
    system.stop()
    return taken


def has_page(system: System) -> bool:
    try:
        return system.status("/accounts/login/") == 200
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    main()
