"""The model's own scores of its drafts, and from whom they are kept until they voted.

People lean on a machine's score. So in one of `ONE_IN` pairs of a proposal and a reviewer it is hidden until the vote
of that reviewer counts; each vote remembers which it was, and the insights compare the two. Pairs are drawn by a digest
of both keys: anybody can check who was to see what, and nobody has to store it.
"""

import re
from hashlib import sha256

from django.utils import timezone

from amendments.models import Amendment
from amendments.visibility import is_judge
from constitution.models import User

ONE_IN = 4
SEED = "ratify: scores"
SENTENCE = re.compile(r".+?(?:[.!?…](?=\s)\s+|$)", re.DOTALL)
# What a model measured it writes into its rationale too: see `rationale` in training/engine/propose.py.
NATS = re.compile(r"\d nats\b")


def is_drawn(amendment: int, reviewer: int) -> bool:
    """Whether this pair is one of those in which the score is hidden at first."""
    drawn = sha256(f"{SEED}:{amendment}:{reviewer}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") % ONE_IN == 0


def has_score(amendment: Amendment) -> bool:
    """Whether there is anything to hide."""
    drafts = [amendment.measured, *amendment.alternatives]
    return any(draft.get("score_words") or draft.get("effect") is not None for draft in drafts)


def is_hidden(amendment: Amendment, viewer: User) -> bool:
    """Whether the score is kept from `viewer` now: of those who decide, from the drawn ones until their vote counts."""
    if not (amendment.is_undecided and is_judge(amendment, viewer) and is_drawn(amendment.pk, viewer.pk)):
        return False
    voted = amendment.reviews.filter(reviewer=viewer, settles_at__lte=timezone.now())
    return has_score(amendment) and not voted.exists()


def was_shown(amendment: Amendment, viewer: User) -> bool | None:
    """What a vote cast now remembers; None where there is no score."""
    return not is_hidden(amendment, viewer) if has_score(amendment) else None


def without_score(rationale: str) -> str:
    """`rationale` without the sentences that tell what was measured."""
    return "".join(part for part in SENTENCE.findall(rationale) if not NATS.search(part)).rstrip()


def effect_words(effect: float | None, harm: float | None) -> str:
    """A measured effect as a sentence."""
    if effect is None:
        return "Not measured."
    words = f"It moves the cases by {effect:+.2f} nats the wanted way."
    return words if harm is None else f"{words} Requests that look alike lose {harm:.2f} nats."
