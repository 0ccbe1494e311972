"""Proofs: one planted violation of each kind, and the solver against the resolver on constitutions made at random.

What pydantic would refuse is planted all the same: the proofs must find it, and assume nothing of who checked before.
The resolver holds universal clauses whatever is written of them; to see a violation by the resolver, it is shown the
same clauses as contextual ones.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain, combinations
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.files import read
from constitution.profile_texts import Narrowing, ProfileText
from constitution.proofs import Counterexample, Proof, Unproved, check_provable, prove
from constitution.proofs.claims import CLAIMS, Proving, monotone
from constitution.proofs.model import Formula, Model
from constitution.proofs.subject import Member, Subject
from constitution.resolution import Resolution, Ruling, compile_law
from constitution.texts import ClauseText, Dimension, Scope
from constitution.vocabulary import Context, Node, Rule, Vocabulary, vocabulary

ROOT = Path(__file__).resolve().parents[2]
DIMENSIONS: tuple[Dimension, ...] = ("region", "industry")


def plant(principle: str, tier: int = 2, **fields: Any) -> ClauseText:
    """A clause that nobody validated."""
    content = {name: field.get_default(call_default_factory=True) for name, field in ClauseText.model_fields.items()}
    return ClauseText.model_construct(
        **{**content, "principle": principle, "tier": tier, "title": "T", "text": "T", **fields}
    )


def plain(clauses: Sequence[ClauseText]) -> list[ClauseText]:
    """The clauses at their word: the resolver does not shield them."""
    return [clause.model_copy(update={"tier": 2}) if clause.tier == 1 else clause for clause in clauses]


def seed() -> list[ClauseText]:
    return list(read((ROOT / "constitution/seed/constitution.yaml").read_text(encoding="utf-8")).clauses)


def resolved(
    clauses: Sequence[ClauseText], context: Context, profile: ProfileText | None = None, known: Vocabulary | None = None
) -> Resolution:
    return compile_law(plain(clauses), profile, known).resolve(context)


def rulings(clauses: Sequence[ClauseText], found: Counterexample) -> dict[str, Ruling]:
    return {ruling.id: ruling for ruling in resolved(clauses, found.context, found.profile).explain()}


def refuted(
    name: str, clauses: Sequence[ClauseText], profile: ProfileText | None = None, known: Vocabulary | None = None
) -> Counterexample:
    found = proof(name, clauses, profile, known)
    assert not found.holds
    assert found.is_finished
    assert found.counterexample is not None
    assert found.sentence == found.counterexample.sentence
    return found.counterexample


def proof(
    name: str, clauses: Sequence[ClauseText], profile: ProfileText | None = None, known: Vocabulary | None = None
) -> Proof:
    return next(each for each in prove(clauses, profile, known) if each.name == name)


def narrowing_profile(principle: str, scope: Scope) -> ProfileText:
    narrowing = Narrowing(principle=principle, scope=scope, reason="Our own.")
    return ProfileText(slug="acme", name="Acme", narrowings=(narrowing,))


def test_prove_the_seed_holds_and_has_a_witness_for_each_clause() -> None:
    clauses = seed()
    proofs = prove(clauses)
    assert [each.name for each in proofs if not each.holds] == []
    assert [each.name for each in proofs] == list(CLAIMS)
    witnesses = next(each for each in proofs if each.name == "reachable").witnesses
    law = compile_law(clauses)
    for clause in clauses:
        assert clause in [held.clause for held in law.resolve(witnesses[clause.principle]).clauses]
    check_provable(clauses)


def test_prove_a_scoped_universal_clause_is_refuted_where_its_scope_is_not_met() -> None:
    clauses = [plant("U-01", 1, scope={"region": ("EU",)}), plant("G-01")]
    found = refuted("universal", clauses)
    assert (found.context, found.clauses) == ({}, ("U-01",))
    assert not rulings(clauses, found)["U-01"].in_force
    assert found.sentence == (
        "With nothing known of the context, U-01 is universal and yet not in force: it holds only for region EU."
    )


@pytest.mark.parametrize("name", ["universal", "reach", "monotone"])
def test_prove_a_universal_clause_that_may_be_narrowed_is_refuted_by_a_profile_that_does(name: str) -> None:
    clauses = [plant("U-01", 1, may_narrow=True), plant("E-01", scope={"region": ("EU",)})]
    found = refuted(name, clauses)
    assert found.profile is not None
    assert found.profile.narrowings[0].principle == "U-01"
    assert not rulings(clauses, found)["U-01"].in_force
    assert resolved(clauses, found.context).is_held(0)


@pytest.mark.parametrize("name", ["universal", "reach", "monotone"])
def test_prove_an_illegal_narrowing_of_a_profile_is_refuted_where_the_clause_lets_it(name: str) -> None:
    profile = narrowing_profile("U-01", {"industry": ("finance",)})
    clauses = [plant("U-01", 1, may_narrow=True)]
    found = refuted(name, clauses, profile)
    assert (found.context, found.clauses, found.profile) == ({}, ("U-01",), profile)
    assert not rulings(clauses, found)["U-01"].in_force


def test_prove_a_narrowing_that_the_clause_does_not_allow_changes_nothing() -> None:
    clauses = [plant("U-01", 1), plant("G-01")]
    for principle in ("U-01", "G-01"):
        profile = narrowing_profile(principle, {"industry": ("finance",)})
        assert all(each.holds for each in prove(clauses, profile))
        assert resolved(clauses, {}, profile).is_held(0)


def test_prove_a_precedence_over_a_universal_clause_is_refuted_where_both_hold() -> None:
    clauses = [plant("U-01", 1), plant("H-01", scope={"industry": ("healthcare", "finance")}, precedes=("U-01",))]
    found = refuted("reach", clauses)
    assert found.clauses == ("H-01", "U-01")
    assert found.context in ({"industry": ("healthcare",)}, {"industry": ("finance",)})
    assert rulings(clauses, found)["U-01"].gives_way_to == ("H-01",)
    assert resolved(clauses, {}).explain()[0].gives_way_to == ()


def test_prove_a_profile_that_precedes_a_universal_clause_is_refuted() -> None:
    own = plant("A-01", scope={"region": ("FR",)}, precedes=("U-01",))
    profile = ProfileText.model_construct(slug="acme", name="Acme", clauses=(own,), narrowings=(), context={})
    clauses = [plant("U-01", 1)]
    found = refuted("reach", clauses, profile)
    assert (found.context, found.clauses) == ({"region": ("FR",)}, ("acme/A-01", "U-01"))
    assert rulings(clauses, found)["U-01"].gives_way_to == ("acme/A-01",)


def test_prove_names_the_shortest_circle_and_a_context_where_it_holds() -> None:
    clauses = [
        plant("A-01", precedes=("B-01",)),
        plant("B-01", precedes=("C-01",)),
        plant("C-01", precedes=("A-01", "D-01"), scope={"region": ("EU",)}),
        plant("D-01", precedes=("C-01",), scope={"regulation": ("GDPR",)}),
    ]
    found = refuted("acyclic", clauses)
    assert found.clauses == ("C-01", "D-01")
    assert found.context == {"region": ("EU",)}, "the European Union implies the regulation: one value is enough"
    ruled = rulings(clauses, found)
    assert "D-01" in ruled["C-01"].gives_way_to
    assert "C-01" in ruled["D-01"].gives_way_to
    assert found.sentence == "With region EU, precedence runs in a circle: C-01 precedes D-01, which precedes C-01."


def test_prove_refutes_a_circle_whose_members_never_meet() -> None:
    clauses = [plant("A-01", precedes=("B-01",)), plant("B-01", precedes=("A-01",), scope={"region": ("Atlantis",)})]
    found = refuted("acyclic", clauses)
    assert found.context == {}
    assert found.sentence.endswith("No context has all of them in force.")


def test_prove_refutes_a_clause_that_precedes_itself() -> None:
    assert refuted("acyclic", [plant("A-01", precedes=("A-01",))]).clauses == ("A-01",)


@pytest.mark.parametrize(
    ("scope", "context", "unmet"),
    [
        ({"region": ("Atlantis",)}, {}, "region Atlantis"),
        ({"region": ("EU",), "industry": ("alchemy",)}, {"region": ("EU",)}, "industry alchemy"),
        ({"audience": ()}, {}, "audience (no value)"),
    ],
)
def test_prove_a_clause_that_no_context_brings_into_force_is_refuted(
    scope: Scope, context: Context, unmet: str
) -> None:
    clauses = [plant("A-01", scope=scope), plant("B-01", scope={"region": ("EU",)})]
    found = refuted("reachable", clauses)
    assert (found.clauses, found.context) == (("A-01",), context)
    assert found.sentence == f"No context brings A-01 into force: nothing meets {unmet}."
    assert not rulings(clauses, found)["A-01"].in_force
    assert proof("reachable", clauses).witnesses == {"B-01": {"region": ("EU",)}}


def test_prove_a_profile_that_narrows_a_clause_to_nowhere_is_refuted() -> None:
    clauses = [plant("A-01", may_narrow=True)]
    found = refuted("reachable", clauses, narrowing_profile("A-01", {"region": ("Atlantis",)}))
    assert found.clauses == ("A-01",)
    assert not rulings(clauses, found)["A-01"].in_force


def test_prove_exclusive_clauses_that_can_meet_are_refuted_with_the_smallest_context() -> None:
    clauses = [
        plant("A-01", scope={"region": ("FR", "US")}, exclusive_with=("B-01",)),
        plant("B-01", scope={"industry": ("finance",)}),
    ]
    found = refuted("exclusive", clauses)
    assert found.clauses == ("A-01", "B-01")
    assert {name: len(values) for name, values in found.context.items()} == {"region": 1, "industry": 1}
    ruled = rulings(clauses, found)
    assert ruled["A-01"].in_force
    assert ruled["B-01"].in_force
    assert ruled["A-01"].gives_way_to == ruled["B-01"].gives_way_to == ()


def test_prove_exclusive_clauses_that_a_rule_of_the_vocabulary_brings_together_are_refuted_with_one_value() -> None:
    clauses = [
        plant("A-01", scope={"region": ("EU",)}),
        plant("B-01", scope={"regulation": ("GDPR",)}, exclusive_with=("A-01",)),
    ]
    assert refuted("exclusive", clauses).context == {"region": ("EU",)}
    lawless = Vocabulary(vocabulary().nodes, ())
    assert refuted("exclusive", clauses, known=lawless).context == {"region": ("EU",), "regulation": ("GDPR",)}


def test_prove_exclusive_clauses_of_two_places_share_a_territory_of_both() -> None:
    clauses = [
        plant("A-01", scope={"region": ("EU",)}, exclusive_with=("B-01",)),
        plant("B-01", scope={"region": ("latin-america",)}),
    ]
    found = refuted("exclusive", clauses)
    assert sum(map(len, found.context.values())) == 1
    assert all(ruling.in_force for ruling in rulings(clauses, found).values())


@pytest.mark.parametrize("between", [("B-01",), ("C-01",)])
def test_prove_exclusive_clauses_with_a_precedence_between_them_may_meet(between: tuple[str, ...]) -> None:
    clauses = [
        plant("A-01", exclusive_with=("B-01",), precedes=between),
        plant("B-01"),
        plant("C-01", precedes=("B-01",)),
    ]
    assert proof("exclusive", clauses).holds
    assert not proof("exclusive", [clauses[0].model_copy(update={"precedes": ()}), *clauses[1:]]).holds


class Forgetful(Model):
    """A model in which knowing more is knowing less."""

    def holds(self, scope: Scope, situation: int = 0) -> Formula:
        return super().holds(scope, 1 - situation)


class ForgetfulProving(Proving):
    @cached_property
    def model(self) -> Model:
        return Forgetful(self.values, until=self.until)


def test_monotone_is_refuted_where_a_wider_context_loses_a_clause() -> None:
    subject = Subject([plant("A-01", scope={"region": ("EU",)})], None, vocabulary())
    found = monotone(ForgetfulProving(subject, monotonic() + 10)).counterexample
    assert found is not None
    assert (found.before, found.context, found.clauses) == ({}, {"region": ("EU",)}, ("A-01",))
    assert monotone(Proving(subject, monotonic() + 10)).counterexample is None


def test_prove_names_that_lead_nowhere_are_refuted_with_near_matches() -> None:
    clauses = [
        plant("A-01", refers_to=("B-09",), scope={"industry": ("finance",)}),
        plant("B-01", scope={"industry": ("finanse", "education")}),
    ]
    found = refuted("names", clauses)
    assert found.clauses == ("A-01", "B-01")
    assert found.context == {"industry": ("finance",)}
    assert "A-01 refers to B-09, and there is no such clause." in found.sentence
    assert "the industry “finanse”, which does not exist. Did you mean finance?" in found.sentence


def test_prove_many_wrong_names_are_counted() -> None:
    sentence = refuted("names", [plant("A-01", precedes=tuple(f"B-{n:02}" for n in range(8)))]).sentence
    assert sentence.endswith("And 3 more.")


def test_check_provable_refuses_with_the_sentence_of_each_claim_that_fails() -> None:
    clauses = [plant("A-01", precedes=("B-01",)), plant("B-01", precedes=("A-01",), refers_to=("X-01",))]
    with pytest.raises(Unproved) as refusal:
        check_provable(clauses)
    assert [each.name for each in refusal.value.proofs] == ["acyclic", "names"]
    assert str(refusal.value).splitlines() == [each.sentence for each in refusal.value.proofs]


def test_check_provable_proves_a_structure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watched(clauses: Sequence[ClauseText]) -> list[Proof]:
        asked.append(clauses)
        return prove(clauses)

    monkeypatch.setattr("constitution.proofs.prove", watched)
    before = [plant("Q-01", 1), plant("Q-02", scope={"region": ("FR",)})]
    reworded = [before[0], before[1].model_copy(update={"text": "Other words."})]
    check_provable(reworded, proved=before)
    assert asked == []
    rescoped = [before[0], before[1].model_copy(update={"scope": {"region": ("DE",)}})]
    for _ in range(2):
        check_provable(rescoped, proved=before)
    assert asked == [rescoped]
    broken = [before[0], before[1].model_copy(update={"precedes": ("Q-99",)})]
    for _ in range(2):
        with pytest.raises(Unproved):
            check_provable(broken, proved=before)
    assert asked == [rescoped, broken]


def test_prove_says_what_it_could_not_settle_in_time() -> None:
    proofs = prove([plant("U-01", 1), plant("A-01", scope={"region": ("EU",)})], seconds=0)
    unfinished = [each for each in proofs if not each.is_finished]
    assert "universal" in [each.name for each in unfinished]
    assert not any(each.holds for each in unfinished)
    assert all(each.sentence.startswith("The proof did not finish in time") for each in unfinished)


def test_prove_answers_the_same_in_several_threads() -> None:
    clauses = seed()
    clauses = [*clauses, plant("X-01", scope={"region": ("FR",)}, exclusive_with=("T-01",))]

    def findings(_: int) -> list[Counterexample | None]:
        return [each.counterexample for each in prove(clauses)]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(findings, range(8))
    assert all(other == first for other in others)


def test_proofs_are_imported_without_the_solver() -> None:
    seen = "import sys, constitution.proofs; sys.exit('z3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", seen], cwd=ROOT, check=False).returncode == 0


# --- the solver against the resolver, on worlds of six values ---

LETTERS = ("a", "b", "c")
ATOMS = [(dimension, value) for dimension in DIMENSIONS for value in LETTERS]
some_letters = st.lists(st.sampled_from(LETTERS), unique=True).map(tuple)


@st.composite
def vocabularies(draw: st.DrawFn) -> Vocabulary:
    """Hierarchies and rules of any shape, with circles in both."""
    nodes = {
        dimension: {value: Node(dimension, value, value, parents=draw(some_letters)) for value in LETTERS}
        for dimension in DIMENSIONS
    }
    atoms = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=2, unique=True).map(tuple)
    rules = draw(st.lists(st.builds(Rule, when=atoms, adds=atoms), max_size=4))
    return Vocabulary({**nodes, "regulation": {}, "audience": {}}, tuple(rules))


values = st.lists(st.sampled_from([*LETTERS, "nowhere"]), min_size=1, max_size=2, unique=True).map(tuple)
scopes = st.fixed_dictionaries({}, optional=dict.fromkeys(DIMENSIONS, values))
PRINCIPLES = ("A-01", "B-01", "C-01", "D-01")
names = st.lists(st.sampled_from(PRINCIPLES), max_size=2, unique=True).map(tuple)


@st.composite
def clause_sets(draw: st.DrawFn, principles: Sequence[str] = PRINCIPLES) -> list[ClauseText]:
    """Clauses that say anything at all of each other, the universal ones among them."""
    return [
        plant(
            principle,
            draw(st.sampled_from((1, 2, 3))),
            scope=draw(scopes),
            precedes=draw(names),
            exclusive_with=draw(names),
            may_narrow=draw(st.booleans()),
        )
        for principle in principles[: draw(st.integers(1, len(principles)))]
    ]


@st.composite
def profiles(draw: st.DrawFn) -> ProfileText:
    narrowed = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(PRINCIPLES, scopes)))
    narrowings = [Narrowing(principle=name, scope=scope, reason="R") for name, scope in narrowed.items() if scope]
    clauses = draw(clause_sets(("A-01", "P-01")))
    return ProfileText.model_construct(
        slug="acme", name="Acme", clauses=tuple(plain(clauses)), narrowings=tuple(narrowings), context={}
    )


contexts = st.fixed_dictionaries({}, optional=dict.fromkeys(DIMENSIONS, some_letters))
EVERY_CONTEXT: list[Context] = [
    {name: tuple(value for at, value in chosen if at == name) for name in DIMENSIONS if name in dict(chosen)}
    for chosen in chain.from_iterable(combinations(ATOMS, size) for size in range(len(ATOMS) + 1))
]


def exactly(proving: Proving, context: Context) -> Formula:
    """The formula that `context` and nothing else was named, each value by the one that stands for it."""
    chosen = [
        frozenset((dimension, line) for line in proving.subject.known.lines(dimension, value)) & proving.values.atoms
        for dimension, values in context.items()
        for value in values
    ]
    model = proving.model
    return model.all(free if choice.implies in chosen else model.negate(free) for choice, free in model.given.items())


@given(known=vocabularies(), clauses=clause_sets(), profile=profiles(), context=contexts)
def test_model_and_resolver_hold_the_same_clauses(
    known: Vocabulary, clauses: list[ClauseText], profile: ProfileText, context: Context
) -> None:
    proving = Proving(Subject(clauses, profile, known), monotonic() + 60)
    here = exactly(proving, context)
    solved = [
        proving.model.smallest(proving.model.all([here, proving.is_in_force(member)])) is not None
        for member in proving.subject.members
    ]
    found = resolved(clauses, context, profile, known)
    assert solved == [found.is_held(place) for place in range(len(solved))]


@given(known=vocabularies(), clauses=clause_sets(), profile=profiles(), context=contexts)
def test_model_and_resolver_let_the_same_clauses_prevail(
    known: Vocabulary, clauses: list[ClauseText], profile: ProfileText, context: Context
) -> None:
    held = {ruling.id: ruling for ruling in resolved(clauses, context, profile, known).explain() if ruling.in_force}
    subject = Subject(clauses, profile, known)
    met = {(one.id, other.id) for one, other in subject.precedences if one.id in held and other.id in held}
    assert met == {(name, ruling.id) for ruling in held.values() for name in ruling.gives_way_to}


def narrower(context: Context) -> Iterator[Context]:
    """The context with one value left out, for each."""
    for dimension, values in context.items():
        for left_out in values:
            rest = {**context, dimension: tuple(value for value in values if value != left_out)}
            yield {name: kept for name, kept in rest.items() if kept}


def any_profiles(clauses: Sequence[ClauseText]) -> Iterator[ProfileText | None]:
    """None, and profiles that narrow one clause to one value."""
    yield None
    for clause in clauses:
        for dimension, value in ATOMS:
            yield narrowing_profile(clause.principle, {dimension: (value,)})


def is_broken(name: str, clauses: Sequence[ClauseText], found: Resolution) -> bool:
    """Whether the resolver itself shows that a claim fails in a context."""
    held = {place for place in range(len(clauses)) if found.is_held(place)}
    universal = {place for place, clause in enumerate(clauses) if clause.tier == 1}
    if name == "universal":
        return not universal <= held
    if name == "reach":
        ways = {ruling.id: ruling.gives_way_to for ruling in found.explain()}
        bare = resolved(clauses, found.context, None, found.law.known)
        return any(ways[clauses[place].principle] or bare.is_held(place) > found.is_held(place) for place in universal)
    subject = Subject(clauses, None, found.law.known)
    ids = {clauses[place].principle for place in held}
    return any(one.id in ids and other.id in ids for one, other in subject.unordered_exclusives())


@pytest.mark.parametrize("name", ["universal", "reach", "exclusive"])
@given(known=vocabularies(), clauses=clause_sets())
def test_prove_agrees_with_trying_every_context(name: str, known: Vocabulary, clauses: list[ClauseText]) -> None:
    found = proof(name, clauses, known=known)
    laws = [compile_law(plain(clauses), profile, known) for profile in any_profiles(clauses)]
    if found.counterexample is None:
        assert not any(is_broken(name, clauses, law.resolve(context)) for law in laws for context in EVERY_CONTEXT)
        return
    context, profile = found.counterexample.context, found.counterexample.profile
    assert is_broken(name, clauses, resolved(clauses, context, profile, known))
    assert not any(is_broken(name, clauses, resolved(clauses, less, profile, known)) for less in narrower(context)), (
        "no value of the context can be left out"
    )


@given(known=vocabularies(), clauses=clause_sets(), profile=st.none() | profiles())
def test_prove_finds_each_clause_that_some_context_holds(
    known: Vocabulary, clauses: list[ClauseText], profile: ProfileText | None
) -> None:
    witnesses = proof("reachable", clauses, profile, known).witnesses
    law = compile_law(plain(clauses), profile, known)
    everything = {held.id for context in EVERY_CONTEXT for held in law.resolve(context).clauses}
    assert set(witnesses) == everything
    for name, context in witnesses.items():
        assert name in {held.id for held in law.resolve(context).clauses}


@given(clauses=clause_sets(), known=vocabularies())
def test_prove_finds_a_circle_where_there_is_one(clauses: list[ClauseText], known: Vocabulary) -> None:
    found = proof("acyclic", clauses, known=known).counterexample
    subject = Subject(clauses, None, known)
    pairs = {(one.id, other.id) for one, other in subject.precedences}
    if found is None:
        assert not any(is_above_itself(member, subject) for member in subject.members)
        return
    assert set(zip(found.clauses, [*found.clauses[1:], found.clauses[0]], strict=True)) <= pairs


def is_above_itself(member: Member, subject: Subject) -> bool:
    reached = {other for one, other in subject.precedences if one is member}
    for _ in subject.members:
        reached |= {other for one, other in subject.precedences if one in reached}
    return member in reached
