"""Known items for tests, planted on the small constitution by the real action."""

from amendments import actions
from amendments.known_items import DraftText, KnownText
from amendments.models import Amendment
from constitution.ledger import Actor

WHY = "Because we know."


def known_text(name: str = "one", principle: str = "G-01", verdict: str = "reject", adds: str = "") -> KnownText:
    return KnownText.model_validate(
        {
            "name": name,
            "principle": principle,
            "adds": adds or f"This too, says {name}.",
            "effect": 0.42,
            "harm": 0.03,
            "rationale": f"Under {principle} the model refused harmless requests.",
            "verdict": verdict,
            "why": WHY,
            "others": [DraftText(adds="And this.", effect=0.21)],
        }
    )


def plant(
    name: str = "one", principle: str = "G-01", verdict: str = "reject", *, by: Actor = "a test", adds: str = ""
) -> Amendment:
    """One known item on the desk."""
    items = [known_text(name, principle, verdict, adds)]
    planted = actions.plant(items=items, by=by, is_bare_too=True)
    assert not planted.kept, planted.kept
    return planted.amendments[0]
