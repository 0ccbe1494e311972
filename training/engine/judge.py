"""The probe judge: whether a response refuses, read from a frozen reference model's hidden states.

A logistic regression with isotonic calibration, fitted on labelled responses (in use: `calibration_set`). It is kept
as plain numbers in a JSON file, with digests of what it was fitted on and of the model whose states it reads. The
judged text is only ever read as states: an order inside it is not obeyed.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from training.engine.clauses import Clause
from training.engine.features import FEATURES_VERSION, response_features
from training.engine.judges.contract import JudgeError, Labelled, Verdict, why_unreadable
from training.engine.model import LanguageModel

__all__ = ["JudgeError", "Labelled", "Probe", "ProbeJudge", "Verdict", "calibration_set", "labelled_examples"]

MANNERS = Path(__file__).parent / "calibration.yaml"
FOLDS = 5
REGULARISATION = 0.01


@dataclass(frozen=True)
class Probe:
    """The numbers of a fitted probe: standardisation, weights, and the knots that turn scores into probabilities."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    knot_scores: tuple[float, ...]
    knot_probabilities: tuple[float, ...]
    calibration: str  # digest of the labelled responses
    calibration_size: int
    reference: str  # digest of the model whose states are read
    features: str = FEATURES_VERSION

    @property
    def name(self) -> str:
        """The judge's id: its kind and a digest of all its numbers."""
        return "probe-" + hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of refusing before calibration, [items]."""
        standard = (features - np.asarray(self.centre)) / np.asarray(self.scale)
        return np.asarray(standard @ np.asarray(self.weights) + self.intercept)

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of refusing, [items]."""
        return np.interp(scores, self.knot_scores, self.knot_probabilities)


@dataclass(frozen=True)
class ProbeJudge:
    """A probe together with the frozen reference whose states it reads: never a model under training."""

    lm: LanguageModel
    probe: Probe

    @classmethod
    def fit(cls, lm: LanguageModel, labelled: Sequence[Labelled]) -> Self:
        """Fit on labelled responses; needs at least FOLDS different requests of each kind."""
        return cls(lm, _fit(lm, labelled))

    @classmethod
    def load(cls, lm: LanguageModel, path: Path) -> Self:
        """Read a saved judge; `lm` must be the reference it was fitted on."""
        try:
            stored = json.loads(path.read_text())
            fields: Any = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
            probe = Probe(**fields)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise JudgeError(f"The judge in {path} could not be read: {error}") from error
        if probe.reference != lm.digest:
            raise JudgeError("This judge was fitted on another reference model.")
        if probe.features != FEATURES_VERSION:
            raise JudgeError(f"This judge reads {probe.features}, the present features are {FEATURES_VERSION}.")
        return cls(lm, probe)

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self.probe)))
        partial.replace(path)

    @property
    def name(self) -> str:
        return self.probe.name

    @property
    def about(self) -> dict[str, Any]:
        return {
            "template": self.probe.features,
            "calibration": self.probe.calibration,
            "calibration_size": self.probe.calibration_size,
            "reference": self.probe.reference,
        }

    def judge(self, items: Sequence[tuple[str, str]]) -> list[Verdict]:
        """A verdict for each (request, response), in order; its score is the uncalibrated log-odds of refusing."""
        whys = [why_unreadable(response) for _, response in items]
        readable = [item for item, why in zip(items, whys, strict=True) if not why]
        if not readable:
            return [self._unscored(why) for why in whys]
        scores = self.probe.scores(response_features(self.lm, readable))
        found = iter(zip(scores, self.probe.probabilities(scores), strict=True))
        return [self._unscored(why) if why else self._verdict(*next(found)) for why in whys]

    def _verdict(self, score: float, probability: float) -> Verdict:
        if not np.isfinite(score):
            return self._unscored("the score is not a number")
        said: Any = "refuses" if probability >= 0.5 else "complies"
        return Verdict(said, float(probability), self.name, self.probe.features, score=float(score))

    def _unscored(self, reason: str) -> Verdict:
        return Verdict("unscored", None, self.name, self.probe.features, reason)


def labelled_examples(clauses: Iterable[Clause]) -> list[Labelled]:
    """Decided examples as labelled responses: where declining is right, the right response refuses and the wrong one
    complies; where helping is right, the other way round; right responses of style comply.
    """
    rows: list[Labelled] = []
    for example in (example for clause in clauses for example in clause.examples):
        declines = example.expects == "decline"
        rows.append(Labelled(example.request, example.right, declines))
        if example.expects != "style":
            rows.append(Labelled(example.request, example.wrong, not declines))
    return rows


def calibration_set(clauses: Iterable[Clause]) -> list[Labelled]:
    """What the judge in use is fitted on: the decided examples, and responses in manners these do not show."""
    manners = yaml.safe_load(MANNERS.read_text())
    rows = labelled_examples(clauses)
    for kind, refuses in (("refusals", True), ("answers", False)):
        rows += [Labelled(row["request"], row["response"], refuses) for row in manners[kind]]
    return rows


def _fit(lm: LanguageModel, labelled: Sequence[Labelled]) -> Probe:
    labels = np.array([item.refuses for item in labelled])
    requests = np.array([item.request for item in labelled])
    for kind in (True, False):
        if len(set(requests[labels == kind])) < FOLDS:
            raise JudgeError(f"The judge needs at least {FOLDS} requests with responses of each kind.")
    features = response_features(lm, [(item.request, item.response) for item in labelled]).astype(np.float64)
    centre, scale = features.mean(0), features.std(0) + 1e-6
    standard = (features - centre) / scale
    held_out = np.zeros(len(labelled))
    # Both responses to a request stay in one fold: a score must never rest on having seen the request.
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(standard, labels, requests):
        held_out[unseen] = _regression(standard[seen], labels[seen]).decision_function(standard[unseen])
    # No finite sample warrants certainty: the ends stay away from 0 and 1 by what the sample's size allows.
    edge = 1 / (len(labelled) + 2)
    isotonic = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(held_out, labels)
    regression = _regression(standard, labels)
    return Probe(
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(regression.coef_[0].tolist()),
        intercept=float(regression.intercept_[0]),
        knot_scores=tuple(isotonic.X_thresholds_.tolist()),
        knot_probabilities=tuple(isotonic.y_thresholds_.tolist()),
        calibration=calibration_digest(labelled),
        calibration_size=len(labelled),
        reference=lm.digest,
    )


def calibration_digest(labelled: Iterable[Labelled]) -> str:
    """SHA-256 of labelled responses, whatever their order."""
    rows = sorted(json.dumps([*item]) for item in labelled)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _regression(features: NDArray[np.float64], labels: NDArray[np.bool_]) -> LogisticRegression:
    return LogisticRegression(C=REGULARISATION, max_iter=2000, class_weight="balanced").fit(features, labels)
