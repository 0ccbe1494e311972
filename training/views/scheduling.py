"""What becomes of a round next, in words: why it waits, how long it takes, and which versions it stands for."""

from training import coordinator, pace
from training.models import Round
from training.states import QUEUED, RUNNING
from training.views import words


def sentence(round_: Round) -> str:
    """What is happening, or what became of it."""
    found = [_waiting(round_) or words.sentence(round_)]
    if round_.state == RUNNING and (left := pace.time_left(round_)):
        found.append(str(left))
    if covered := [str(version.number) for version in coordinator.covered_by(round_.version)]:
        *first, last = covered
        which = f"versions {', '.join(first)} and {last}" if first else f"version {last}"
        found.append(f"It stands for {which} as well, which had no round of {'their' if first else 'its'} own.")
    return " ".join(found)


def _waiting(round_: Round) -> str:
    why = coordinator.hold() if round_.state == QUEUED else ""
    return f"It waits for room. {why}" if why else ""
