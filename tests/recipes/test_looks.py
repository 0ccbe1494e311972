import pytest

from training.recipes.plan import LooksConfig
from training.recipes.verdicts import verdict

LIMITS = LooksConfig()


@pytest.mark.parametrize(
    ("value", "warned_before", "state", "pauses"),
    [
        (0.4, False, "ok", False),
        (-0.65, False, "ok", False),
        (-0.66, False, "warn", False),
        (-0.66, True, "warn", True),
        (-0.3, True, "ok", False),
        (-0.98, False, "warn", False),
        (-0.981, False, "fail", True),
    ],
)
def test_verdict_gates_one_side_by_size(value: float, warned_before: bool, state: str, pauses: bool) -> None:
    found, why = verdict(value, warned_before=warned_before, limits=LIMITS)
    assert found == state
    assert bool(why) is pauses
