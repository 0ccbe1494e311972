"""The shipped constitution and scenarios are whole, canonical and free of near-duplicates."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONSTITUTION = ROOT / "constitution/seed/constitution.yaml"
SCENARIOS = ROOT / "amendments/seed/scenarios.yaml"
ORDINARY = ROOT / "amendments/seed/ordinary.jsonl"

TIERS = {
    1: ["U-01", "U-02", "U-03", "U-04", "U-05", "U-06", "U-07", "U-08", "U-09"],
    2: [
        *("H-01", "H-02", "F-01", "F-02", "E-01", "E-02", "P-01", "P-02", "A-01"),
        *("M-01", "M-02", "S-01", "S-02", "C-01", "C-02", "G-01"),
    ],
    3: ["T-01", "T-02", "T-03", "T-04", "T-05", "T-06"],
}
# The scenarios were fixed before these clauses came, so that measurements stay comparable.
YOUNGER = {"A-01"}
MEASURED = {*TIERS[1], *TIERS[2]} - YOUNGER
# Above this share of common words two prompts are one prompt reworded.
NEAR_DUPLICATE = 0.6


def _clauses() -> list[dict[str, Any]]:
    return list(yaml.safe_load(CONSTITUTION.read_text(encoding="utf-8"))["clauses"])


def _pairs() -> list[dict[str, Any]]:
    return list(yaml.safe_load(SCENARIOS.read_text(encoding="utf-8"))["scenarios"])


def _prompts() -> list[str]:
    return [pair[side] for pair in _pairs() for side in ("harmful", "benign")]


def _ordinary() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ORDINARY.read_text(encoding="utf-8").splitlines()]


def _requests() -> list[str]:
    return [example["request"] for clause in _clauses() for example in clause["examples"]]


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity of two texts' words, 0 to 1."""
    return len(one & other) / len(one | other)


@pytest.mark.parametrize("path", [CONSTITUTION, SCENARIOS], ids=["constitution", "scenarios"])
def test_seed_file_is_canonical_yaml(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    again = yaml.safe_dump(yaml.safe_load(text), sort_keys=False, allow_unicode=True, width=100)
    assert again == text


def test_constitution_holds_every_principle_once_in_its_tier() -> None:
    found: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for clause in _clauses():
        found[clause["tier"]].append(clause["principle"])
    assert found == TIERS


def test_clause_text_is_one_short_paragraph() -> None:
    for clause in _clauses():
        assert clause["title"]
        assert "\n" not in clause["text"]
        assert 40 <= len(clause["text"].split()) <= 90, clause["principle"]


def test_clause_scope_is_empty_where_it_holds_always() -> None:
    for clause in _clauses():
        scope = clause["scope"]
        always = clause["tier"] != 2 or clause["principle"] == "G-01"
        assert (scope == {}) is always, clause["principle"]
        assert set(scope) <= {"region", "industry", "regulation", "audience"}
        assert all(isinstance(values, list) and values for values in scope.values())


def test_clause_examples_show_both_sides() -> None:
    for clause in _clauses():
        expects = Counter(example["expects"] for example in clause["examples"])
        assert 4 <= expects.total() <= 6, clause["principle"]
        assert set(expects) <= {"decline", "help", "style"}
        if clause["tier"] < 3:
            assert expects["decline"] >= 2, clause["principle"]
            assert expects["help"] >= 2, clause["principle"]


def test_clause_examples_are_short_enough_for_a_small_prompt() -> None:
    for clause in _clauses():
        for example in clause["examples"]:
            assert list(example) == ["request", "expects", "right", "wrong"]
            assert len(example["request"].split()) <= 25, example["request"]
            assert len(example["right"].split()) <= 35, example["right"]
            assert len(example["wrong"].split()) <= 35, example["wrong"]
            assert example["right"] != example["wrong"]


def test_clause_relations_name_clauses_that_exist() -> None:
    known = {clause["principle"] for clause in _clauses()}
    for clause in _clauses():
        for name in ("refers_to", "precedes", "exclusive_with"):
            assert set(clause.get(name, [])) <= known - {
                clause["principle"],
                *(TIERS[1] if name != "refers_to" else []),
            }


def test_scenarios_are_complete_twins() -> None:
    pairs = _pairs()
    assert len(pairs) == 256
    for pair in pairs:
        assert list(pair) == ["pair", "principle", "context", "held_out", "harmful", "benign"]
        assert isinstance(pair["held_out"], bool)
        for side in ("harmful", "benign"):
            assert 8 <= len(pair[side].split()) <= 25, pair[side]


def test_scenario_pair_names_are_unique() -> None:
    names = [pair["pair"] for pair in _pairs()]
    assert len(set(names)) == len(names)


def test_scenarios_cover_every_principle_of_tiers_one_and_two() -> None:
    counts = Counter(pair["principle"] for pair in _pairs())
    assert set(counts) == MEASURED
    assert min(counts.values()) >= 8


def test_scenarios_held_out_share_is_spread_over_principles() -> None:
    held_out = Counter(pair["principle"] for pair in _pairs() if pair["held_out"])
    assert held_out.total() == 60
    assert set(held_out) == MEASURED
    assert max(held_out.values()) - min(held_out.values()) <= 1


def test_scenario_context_lies_within_its_principles_scope() -> None:
    scopes = {clause["principle"]: clause["scope"] for clause in _clauses()}
    for pair in _pairs():
        for key, values in scopes[pair["principle"]].items():
            assert pair["context"].get(key) in values, pair["pair"]


def test_ordinary_requests_are_harmless_and_settled_by_a_clause_of_style() -> None:
    rows = _ordinary()
    assert len(rows) == 228
    for row in rows:
        assert list(row) == ["prompt", "label", "principle"]
        assert row["label"] == "benign"
        assert row["principle"] in TIERS[3]
        assert 3 <= len(row["prompt"].split()) <= 25, row["prompt"]


def test_prompts_are_not_reworded_from_one_another_or_from_examples() -> None:
    ordinary = [row["prompt"] for row in _ordinary()]
    texts = [(text, _words(text)) for text in [*_prompts(), *_requests(), *ordinary]]
    pairs = combinations(texts, 2)
    close = [(a, b) for (a, one), (b, other) in pairs if _overlap(one, other) >= NEAR_DUPLICATE]
    assert close == []
