"""What is known of a proposal's effect before anybody decides: who may ask for it, and what acceptance makes of it.

Workers measure and write it down (`training.previews`); nothing here does.
"""

from dataclasses import dataclass
from statistics import fmean

from amendments import policies, producers, states
from amendments.errors import AlreadyDecided, InQuarantine
from amendments.models import Amendment, Preview
from amendments.policies import Requirement
from constitution.errors import Refused
from constitution.models import User

CASES, HELD_OUT, NEAR, PRECEDENTS, OVER_REFUSAL, RANDOM = COMPONENTS = (
    "cases",
    "held-out",
    "near-misses",
    "precedents",
    "over-refusal",
    "random",
)
# Nothing of these may go unscored; of the others, so little that it stands for the whole.
ESSENTIAL = (CASES, HELD_OUT, NEAR, PRECEDENTS)
TEXTS = 3  # that each request is read under
ESTIMATED_FROM = 5
NEEDED = "It needs a finished impact preview"
# Said to everybody at all times, so that it tells of nobody's vote.
EARLY = (
    "You can approve before that, but nothing is accepted when it finishes: then somebody who approved presses Accept"
    " again."
)
AGAIN = "Approvals given before it was finished accept nothing by themselves: whoever gave one presses Accept again."


@dataclass(frozen=True, slots=True)
class Battery:
    """How many requests of each component are read at most.

    Its name holds a version: whoever changes what is drawn, how it is read or how it is counted gives it another one,
    as what was measured before is another measurement.
    """

    name: str
    label: str
    sizes: dict[str, int]

    @property
    def most(self) -> int:
        return sum(self.sizes.values())


USUAL = Battery("battery-2", "Measure it", dict(zip(COMPONENTS, (6, 8, 8, 8, 10, 10), strict=True)))
LARGE = Battery(
    "battery-2-large", "Measure it with a larger battery", dict(zip(COMPONENTS, (12, 24, 24, 24, 40, 40), strict=True))
)
BATTERIES = {battery.name: battery for battery in (USUAL, LARGE)}


def of(amendment: Amendment) -> list[Preview]:
    """The previews of exactly the present content on its base, the newest first."""
    rows = Preview.objects.filter(base_digest=amendment.base.digest, content=amendment.digest)
    return list(rows.select_related("base").order_by("-pk"))


def is_measured(amendment: Amendment) -> bool:
    """Whether a finished preview of the present content leaves nothing essential unscored."""
    return any(certifies(preview) for preview in of(amendment))


def certifies(preview: Preview) -> bool:
    return bool(preview.result and preview.result["certifies"])


def requirement(amendment: Amendment) -> Requirement:
    """What acceptance says of it, where the rule asks for a preview."""
    found = of(amendment)
    is_open = amendment.is_undecided
    if any(certifies(preview) for preview in found):
        return Requirement("Its effect is measured, on this exact text.", True, AGAIN if is_open else "")
    return Requirement(_lack(amendment, found), False, EARLY if is_open else "")


def check_can_ask(amendment: Amendment, by: User | None) -> None:
    """Raise the typed refusal where nobody measures it now; `by` is None where the coordinator asks."""
    if by is not None:
        policies.check_is_reviewer(by)
        policies.check_is_not_told(amendment, by)
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if amendment.state == states.NEEDS_REBASE:
        raise Refused("The constitution changed in the same place. Settle the text first, then it can be measured.")
    if amendment.producer and producers.standing(amendment.producer).quarantined_at:
        raise InQuarantine(f"{amendment.producer} is in quarantine, so no work is spent on what it proposed.")


def pace() -> float | None:
    """Seconds for each request, by the latest previews here; None before the first."""
    rows = Preview.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    paces = [row.seconds / row.total for row in rows.only("seconds", "total")[:ESTIMATED_FROM]]
    return fmean(paces) if paces else None


def topic(content: str) -> str:
    """What the open pages of every proposal with this content listen to."""
    return f"preview:{content[:16]}"


def _lack(amendment: Amendment, found: list[Preview]) -> str:
    if amendment.is_undecided and amendment.state == states.NEEDS_REBASE:
        return f"{NEEDED}, which waits until its text is settled."
    newest = found[0] if found else None
    if newest is None:
        return f"{NEEDED}; it has not been asked for yet."
    if newest.result:
        return (
            f"Its impact preview is finished, but {newest.result['unscored']} of {newest.total} requests could not be"
            " scored, so nothing rests on it."
        )
    if newest.failure:
        return f"{NEEDED}; the last one stopped."
    if newest.total:
        return f"{NEEDED}; it is being measured: {newest.done} of {newest.total}."
    return f"{NEEDED}; it waits for a gpu worker."
