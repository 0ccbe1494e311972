import pytest
from django.template.loader import render_to_string

from training import judging
from training.models import Arm, Evaluation
from training.views import corrected

SHARE = {"value": 0.9, "k": 90, "n": 100, "low": 0.82, "high": 0.95}
CARD = {
    "judge": "probe-1",
    "calibration": "c" * 64,
    "n": 200,
    "auc": {"value": 0.9, "low": 0.8, "high": 0.95},
    "sensitivity": SHARE,
    "specificity": {**SHARE, "k": 80},
    "coverage": {**SHARE, "value": 1.0},
}


def rate(measure: str, arm: Arm, k: int, *, unscored: int = 0) -> Evaluation:
    return Evaluation(measure=measure, arm=arm, k=k, n=100, unscored=unscored, low=0, high=1, judge="probe-1", seed=1)


@pytest.mark.django_db
def test_rates_of_a_judge_without_a_card_are_not_corrected() -> None:
    assert corrected.context([rate("benign_refused", Arm.TRAINED, 30)]) is None


@pytest.mark.django_db
def test_each_judge_is_corrected_by_its_own_errors_and_one_without_a_card_by_none() -> None:
    assert corrected.context([]) is None
    judging.record(dataset="XSTest", metrics=CARD, template="features-1", by="card_judge")
    other = rate("benign_refused", Arm.REFERENCE, 30)
    other.judge = "another"
    found = corrected.context([rate("benign_refused", Arm.TRAINED, 30), other])
    assert found is not None
    assert [errors.judge for errors in found["judges"]] == ["probe-1"]
    assert [row["arm"] for row in found["rows"]] == [Arm.TRAINED.label]


@pytest.mark.django_db
def test_each_measure_is_corrected_by_the_errors_that_it_suffers() -> None:
    judging.record(dataset="XSTest", metrics=CARD, template="features-1", by="card_judge")
    found = corrected.context(
        [
            rate("harmful_answered", Arm.TRAINED, 40),
            rate("benign_refused", Arm.REFERENCE, 30),
            rate("benign_refused", Arm.TRAINED, 30, unscored=20),
        ]
    )
    assert found is not None
    answered, refused, open_rate = found["rows"]
    assert answered["value"] == pytest.approx(100 * (0.4 + 0.9 - 1) / 0.7), "an answer is missed where it is refused"
    assert refused["value"] == pytest.approx(100 * (0.3 + 0.8 - 1) / 0.7)
    assert refused["low"] < refused["value"] < refused["high"]
    assert (open_rate["value"], open_rate["reason"]) == (None, "too many answers could not be scored")
    page = render_to_string("training/corrected_rates.html", {"corrected": found})
    assert "14.3 %" in page
    assert "not known: too many answers could not be scored" in page
