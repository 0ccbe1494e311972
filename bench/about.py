"""Which tells better what a request asks for: the reference's own states, or a small model made for sentences."""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.survey.material import ROOT, our_law, twins
from training.engine.embed import request_states, units
from training.engine.model import ensure_default_model, load
from training.engine.sentences import SentenceModel, sentence_model
from training.engine.stats import bootstrap, wilson
from training.recipes.files import Row

NEIGHBOURS = 5
POLITELY = "Could you help me with this question? {}"

Directions = NDArray[np.float32]
About = Callable[[Sequence[str]], Directions]


def main(argv: Sequence[str] | None = None) -> Row:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sentences", type=Path, help="folder of another sentence model than the locked one")
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    chosen = options.parse_args(argv)
    decided = [
        (example.request, example.expects == "decline", clause.principle)
        for clause in our_law()
        for example in clause.examples
        if example.expects != "style"
    ]
    paraphrases = yaml.safe_load((ROOT / "bench" / "paraphrases.yaml").read_text())
    lm = load(ensure_default_model(chosen.var / "models"))
    centre = request_states(lm, [request for request, _, _ in decided]).mean(0)
    other = SentenceModel.read(chosen.sentences) if chosen.sentences else sentence_model()
    ways: dict[str, About] = {
        "states": lambda texts: units(request_states(lm, texts), centre),
        "sentences": other.directions,
    }
    found = {name: measure(about, decided, paraphrases) for name, about in ways.items()}
    for question in next(iter(found.values())):
        print(f"{question:<64}" + "".join(f"{said(rows[question]):>32}" for rows in found.values()))
    result = {"bench": "about", **found}
    print(json.dumps(result))
    return result


def measure(about: About, decided: Sequence[tuple[str, bool, str]], paraphrases: Mapping[str, str]) -> dict[str, Any]:
    """Areas under the curve and shares, each with its interval and number.

    `decided`: request, whether declining is right, principle; `paraphrases` of harmless requests, by pair.
    """
    from amendments.joining import SAME  # whose package needs Django, which `bench.survey` sets up

    began = time.perf_counter()
    asked = {label: [one for one in twins() if one.label == label] for label in ("harmful", "benign")}
    harmful, harmless = (about([one.prompt for one in rows]) for rows in asked.values())
    known = about([request for request, _, _ in decided])
    seconds = time.perf_counter() - began
    names = [one.settled_by for one in asked["harmful"]]
    at = {one.pair: place for place, one in enumerate(asked["benign"])}
    places = [at[pair] for pair in paraphrases]
    polite = (harmless * about([POLITELY.format(one.prompt) for one in asked["benign"]])).sum(1)
    reworded = (harmless[places] * about(list(paraphrases.values()))).sum(1)
    alike = (harmless * harmful).sum(1)
    nearest = [decided[int((known @ row).argmax())][2] for row in harmful]
    return {
        "two harmful requests of one clause, against two of others": of_one_clause(harmful, names),
        "two harmless ones": of_one_clause(harmless, names),
        "the same in other words, against a look-alike": told_apart(reworded, alike[places]),
        "called the same: the request with polite words around it": share(polite >= SAME),
        "called the same: the request in other words": share(reworded >= SAME),
        "called the same: its look-alike": share(alike >= SAME),
        "harmful against harmless, by what was decided around them": told_apart(
            *(declined_around(rows, known, [declines for _, declines, _ in decided]) for rows in (harmful, harmless))
        ),
        "the nearest decided request has the harmful one's clause": share(np.array(nearest) == np.array(names)),
        "seconds": round(seconds, 1),
    }


def of_one_clause(rows: Directions, principles: Sequence[str]) -> Row:
    """Requests are resampled, not pairs: pairs of one request are not independent."""
    names = np.array(principles)

    def area(places: Sequence[float]) -> float:
        at = np.unique(np.asarray(places, dtype=int))  # one drawn twice is not near itself
        upper = np.triu_indices(len(at), 1)
        alike = (names[at][:, None] == names[at][None])[upper]
        cosines = (rows[at] @ rows[at].T)[upper]
        return auc(cosines[alike], cosines[~alike])

    places = list(range(len(names)))
    return figure(area(places), *bootstrap([places], area, resamples=200), len(places))


def told_apart(higher: NDArray[Any], lower: NDArray[Any]) -> Row:
    """The area under the curve, of requests resampled in pairs."""
    low, high = bootstrap([list(higher), list(lower)], lambda one, other: auc(np.asarray(one), np.asarray(other)))
    return figure(auc(higher, lower), low, high, len(higher))


def declined_around(rows: Directions, known: Directions, declines: Sequence[bool]) -> NDArray[np.float64]:
    """The share of declined ones among the nearest decided requests, weighted by how near they are."""
    cosines = rows @ known.T
    nearest = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]
    weights = np.maximum(np.take_along_axis(cosines, nearest, 1), 1e-6)
    return np.asarray((weights * np.array(declines)[nearest]).sum(1) / weights.sum(1), dtype=np.float64)


def share(hits: NDArray[np.bool_]) -> Row:
    return figure(float(hits.mean()), *wilson(int(hits.sum()), len(hits)), len(hits))


def auc(higher: NDArray[Any], lower: NDArray[Any]) -> float:
    """The chance that one of `higher` is over one of `lower`; ties count half."""
    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)].sum()
    return float((ranks - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def figure(value: float, low: float, high: float, n: int) -> Row:
    return {"value": round(value, 3), "low": round(low, 3), "high": round(high, 3), "n": n}


def said(row: Row | float) -> str:
    if isinstance(row, float):
        return f"{row}"
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}), n = {row['n']}"


if __name__ == "__main__":
    main()
