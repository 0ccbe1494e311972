from collections import Counter
from contextlib import suppress

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.texts import DIMENSIONS, Dimension
from constitution.vocabulary import SUBDIVISION, Context, UnknownContext, facts, near, read_context, vocabulary

VALUES = [(dimension, value) for dimension in DIMENSIONS for value in vocabulary().nodes[dimension]]
COUNTRIES = [country.alpha_2 for country in pycountry.countries]
contexts = st.lists(st.sampled_from(VALUES), max_size=6).map(
    lambda pairs: read_context({name: [value for other, value in pairs if other == name] for name in DIMENSIONS})
)


def below(group: str) -> set[str]:
    """The countries that lie in `group`."""
    return {value for value in COUNTRIES if group in vocabulary().lines("region", value)}


def held(context: Context) -> set[tuple[Dimension, str]]:
    return {(dimension, value) for dimension, values in facts(context).items() for value in values}


def test_vocabulary_places_every_country_in_one_sub_region_of_m49() -> None:
    nodes = vocabulary().nodes["region"]
    sub_regions = {country: [at for at in nodes[country].parents if nodes[at].code.isdigit()] for country in COUNTRIES}
    continents = Counter(vocabulary().lines("region", at)[-1] for found in sub_regions.values() for at in found)

    assert len(COUNTRIES) == 249
    assert all(len(found) == 1 for found in sub_regions.values())
    assert continents == {"africa": 60, "americas": 57, "antarctica": 1, "asia": 51, "europe": 51, "oceania": 29}


def test_vocabulary_knows_the_members_of_the_unions() -> None:
    territories = below("eu-territories")

    assert len(below("EU") - territories) == 27
    assert len(below("EEA") - territories) == 30
    assert {"GP", "RE", "AX"} <= territories
    assert not {"GB", "CH", "AW", "NC", "PF"} & below("EEA")


def test_vocabulary_names_only_what_exists() -> None:
    nodes = vocabulary().nodes
    for node in vocabulary().each():
        assert set(node.parents) <= nodes[node.dimension].keys(), node
    for rule in vocabulary().rules:
        assert all(value in nodes[dimension] for dimension, value in rule.when + rule.adds), rule


def test_vocabulary_has_all_of_isic() -> None:
    codes = {node.code for node in vocabulary().nodes["industry"].values()}
    aliases = {alias for node in vocabulary().nodes["industry"].values() for alias in node.aliases}

    assert {code for code in codes if code.isalpha()} == set("ABCDEFGHIJKLMNOPQRSTU")
    assert len({word for word in codes | aliases if word.isdigit()}) == 88


def test_vocabulary_gives_every_word_but_those_of_subdivisions_one_meaning() -> None:
    for dimension, words in vocabulary().meanings.items():
        for word, ids in words.items():
            assert len(ids) == 1 or all(SUBDIVISION.fullmatch(found) for found in ids), (dimension, word)


@given(st.sampled_from(VALUES))
def test_read_context_understands_every_id_and_code(pair: tuple[Dimension, str]) -> None:
    dimension, value = pair
    node = vocabulary().nodes[dimension][value]

    assert read_context({dimension: value.upper()}) == {dimension: (value,)}
    assert read_context({dimension: node.code or value.lower()}) == {dimension: (value,)}


@pytest.mark.parametrize(
    ("dimension", "word", "value"),
    [
        ("region", "France", "FR"),
        ("region", "  germany ", "DE"),
        ("region", "Cote d'Ivoire", "CI"),
        ("region", "North America", "north-america"),
        ("region", "UK", "GB"),
        ("region", "250", "FR"),
        ("region", "Georgia", "GE"),
        ("region", "Kalifornia", None),
        ("region", "California", "US-CA"),
        ("industry", "health", "healthcare"),
        ("industry", "K", "finance"),
        ("industry", "P85", "education"),
        ("regulation", "ai act", "EU-AI-Act"),
        ("audience", "Kids", "children"),
    ],
)
def test_read_context_understands_what_people_write(dimension: Dimension, word: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(UnknownContext, match="US-CA"):
            read_context({dimension: word})
    else:
        assert read_context({dimension: word}) == {dimension: (value,)}


def test_read_context_names_all_that_is_wrong_with_near_matches() -> None:
    raw = {"region": ["FR", "Frnace"], "industry": "helthcare", "planet": "Mars", "audience": " ", "regulation": "zz"}

    with pytest.raises(UnknownContext) as caught:
        read_context(raw)

    sentences = str(caught.value)
    assert "no region “Frnace”. Did you mean FR (France)?" in sentences
    assert "no industry “helthcare”. Did you mean healthcare" in sentences
    assert "no dimension “planet”" in sentences
    assert "The audience is empty" in sentences
    assert sentences.endswith("There is no regulation “zz”.")
    assert caught.value.status == 400
    assert [(found.dimension, found.near) for found in caught.value.wrong][:2] == [
        ("region", ("FR",)),
        ("industry", ("healthcare",)),
    ]


def test_read_context_asks_which_where_subdivisions_share_a_name() -> None:
    with pytest.raises(UnknownContext, match=r"BE-VLI \(Limburg\) or NL-LI \(Limburg\). Say which"):
        read_context({"region": "Limburg"})


def test_read_context_refuses_a_crowd_and_cuts_long_words() -> None:
    with pytest.raises(UnknownContext, match="at most 50"):
        read_context({"region": ["FR"] * 51})
    with pytest.raises(UnknownContext) as caught:
        read_context({"region": "x" * 10_000})
    assert len(str(caught.value)) < 200


def test_read_context_gives_hints_for_the_first_ten_alone() -> None:
    with pytest.raises(UnknownContext) as caught:
        read_context({"region": [f"Frnace {number}" for number in range(12)]})

    assert len(caught.value.wrong) == 12
    assert [bool(found.near) for found in caught.value.wrong] == [True] * 10 + [False] * 2


@given(st.text(max_size=20), st.text(max_size=20))
def test_read_context_understands_or_refuses_any_text(dimension: str, value: str) -> None:
    with suppress(UnknownContext):
        assert set(read_context({dimension: value})) <= set(DIMENSIONS)


@given(contexts)
def test_read_context_of_a_context_is_the_same(context: Context) -> None:
    assert read_context(context) == context


def test_near_finds_the_word_that_begins_like_it() -> None:
    assert "pharmaceuticals" in near("industry", "pharmaceutical")
    assert near("regio", "FR")[0] == "region"


def test_facts_of_a_clinic_in_france_say_why() -> None:
    found = facts(read_context({"region": "FR", "industry": "healthcare"}))

    assert found["region"]["FR"] == ""
    assert found["region"]["EU"] == "FR lies in EU"
    assert found["regulation"] == {"GDPR": "EU implies GDPR", "EU-AI-Act": "EU implies EU-AI-Act"}


@pytest.mark.parametrize(
    ("raw", "regulations"),
    [
        ({"region": "NO"}, {"GDPR"}),
        ({"region": "Bayern", "audience": "children"}, {"GDPR", "EU-AI-Act"}),
        ({"region": "Puerto Rico", "industry": "healthcare"}, {"HIPAA"}),
        ({"region": "NL-AW"}, set()),
        ({"region": "US-CA", "audience": "children"}, {"CCPA", "COPPA"}),
        ({"region": ["FR", "US"], "industry": "healthcare"}, {"GDPR", "EU-AI-Act", "HIPAA"}),
        ({"industry": "healthcare"}, set()),
        ({"region": "north-america", "industry": "creative"}, set()),
    ],
)
def test_facts_derive_the_regulations(raw: dict[str, str], regulations: set[str]) -> None:
    assert set(facts(read_context(raw))["regulation"]) == regulations


@given(contexts, contexts)
def test_facts_only_grow_with_the_context(one: Context, other: Context) -> None:
    both = {name: tuple({*one.get(name, ()), *other.get(name, ())}) for name in DIMENSIONS}

    assert held(one) | held(other) <= held(both)
