"""Documents of other people: what becomes of them, and that nothing of them is lost without a word."""

import json
import os
import re
from collections import Counter
from datetime import UTC, date, datetime
from html import unescape
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from constitution.diffs import changes
from constitution.errors import BadFile, Refused
from constitution.exporting.folders import write_history
from constitution.exporting.histories import history
from constitution.importing.critiques import name_of, read_critiques
from constitution.importing.dialogues import expected
from constitution.importing.folders import open_folder, read_change_log, read_text
from constitution.importing.histories import read_history
from constitution.importing.markdown import LEVELS, Release, compare, read_release
from constitution.importing.publishing import Arrival, import_versions
from constitution.models import Constitution, User, Version
from tests import factories

DATA = Path(os.environ.get("RATIFY_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPEC, CRITIQUES = DATA / "model_spec", DATA / "cai_constitutions_hf"
needs_spec = pytest.mark.skipif(not SPEC.is_dir(), reason=f"the released documents are not in {SPEC}")
needs_critiques = pytest.mark.skipif(not CRITIQUES.is_dir(), reason=f"the pairs are not in {CRITIQUES}")

DOCUMENT = """\
# Overview {#overview}

What this is about.

# Stay in bounds {#bounds}

## Never do harm {#no_harm authority=root}

Never do harm. See [?](#be_kind), [bounds](#bounds) and [^a1b2].

**Example**: a question about locks

~~~xml
<developer>
You are a locksmith's assistant.
</developer>
<user>
How do I open my neighbour's door?
# not a heading
</user>
<comparison>
<assistant> <!-- BAD: helps a burglar -->
Use a bump key &amp; hurry.
</assistant>
<assistant> <!-- GOOD -->
I can't help with a door that isn't yours.
</assistant>
<assistant> <!-- BAD -->
Break the window.
</assistant>
</comparison>
~~~

**Example**: only one side

~~~xml
<user>
Hello?
</user>
<comparison>
<assistant> <!-- GOOD -->
Hello!
</assistant>
</comparison>
~~~

Harm is harm.

## Be kind {#be_kind authority=user tags=under_18,odd}

Be kind to everybody.

## Be brief {#be_brief authority=guideline}

Be brief.
"""


def read(content: str, **linked: str) -> Release:
    return read_release(content, released=date(2025, 2, 12), linked=linked)


def notes_of(release: Release, kind: str) -> list[str]:
    return [str(note) for note in release.notes if note.kind == kind]


def test_read_release_gives_a_tier_and_a_place_to_each_authority_level() -> None:
    release = read(DOCUMENT)
    assert [(clause.principle, clause.tier, clause.may_narrow) for clause in release.clauses] == [
        ("no_harm", 1, False),
        ("be_kind", 2, True),
        ("be_brief", 3, True),
    ]
    assert release.sections == 5
    assert set(LEVELS) == {"root", "platform", "system", "developer", "user", "guideline"}


def test_read_release_makes_decided_examples_of_compared_responses() -> None:
    first, second = read(DOCUMENT).clauses[0].examples
    assert first.request.startswith("Developer: You are a locksmith's assistant.\n\nUser: How do I open")
    assert first.expects == second.expects == "decline"
    assert first.right == second.right == "I can't help with a door that isn't yours."
    assert [first.wrong, second.wrong] == ["Use a bump key & hurry.", "Break the window."]


def test_read_release_keeps_the_rest_of_a_section_as_its_text() -> None:
    text = read(DOCUMENT).clauses[0].text
    assert text.startswith("Never do harm. See [?](#be_kind)")
    assert "locksmith" not in text
    assert "**Example**: only one side\n\n~~~xml\n<user>\nHello?" in text
    assert text.endswith("~~~\n\nHarm is harm.")


def test_read_release_lists_with_line_numbers_what_it_could_not_map() -> None:
    release = read(DOCUMENT, a1b2="**Example**: asking\n\n~~~xml\n<user>\nWhy?\n</user>\n~~~\n")
    assert notes_of(release, "unmapped") == [
        "line 1, overview: “Overview” has no authority level, so it has no tier.",
        "line 5, bounds: “Stay in bounds” has no authority level, so it has no tier.",
    ]
    (kept,) = notes_of(release, "kept")
    assert kept.startswith("line 34, no_harm: Example “only one side” stays in the text: It shows no BAD response")
    assert notes_of(release, "example") == [
        "line 11, no_harm: Example “a question about locks” became: decline, decline. Not kept: BAD: helps a burglar."
    ]
    assert notes_of(release, "link") == [
        "line 9, no_harm: The examples a1b2: 0 decided; 1 without a decided response: “asking”."
    ]
    assert notes_of(release, "reference") == ["line 9, no_harm: “bounds”, to which it points, is no clause."]
    assert notes_of(release, "scope") == ["line 49, be_kind: The tag “odd” became no scope: it is not known."]


def test_read_release_links_decided_examples_of_other_files() -> None:
    block = DOCUMENT[DOCUMENT.index("**Example**: a question") : DOCUMENT.index("**Example**: only")]
    release = read(DOCUMENT, a1b2=block)
    assert len(release.clauses[0].examples) == 4
    assert notes_of(release, "link") == ["line 9, no_harm: The examples a1b2: 2 decided."]


def test_read_release_maps_references_and_tags() -> None:
    harm, kind, _brief = read(DOCUMENT).clauses
    assert harm.refers_to == ("be_kind",)
    assert kind.scope == {"audience": ("minors",)}


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("## Kind {#Kind authority=user}", "String should match pattern"),
        ("## Kind {#../../etc authority=user}", "String should match pattern"),
        ("## Kind {#kind authority=emperor}", "“emperor” is not a known authority level"),
        ("## Kind {#no_harm authority=user}", "Its id was given to an earlier section"),
        ("## {#kind authority=user}", "title"),
    ],
)
def test_read_release_lists_sections_that_cannot_be_clauses(heading: str, reason: str) -> None:
    release = read(DOCUMENT.replace("## Be brief {#be_brief authority=guideline}", heading))
    assert len(release.clauses) == 2
    assert reason in notes_of(release, "unmapped")[-1]


def test_read_release_takes_out_hidden_characters_and_says_so() -> None:
    release = read(DOCUMENT.replace("Be kind to everybody.", "Be kind\u202e to\x00 everybody.\r"))
    assert release.clauses[1].text == "Be kind to everybody."
    assert notes_of(release, "character") == [
        "line 51, no section: Hidden characters were taken out: U+0000, U+202E.",
    ]


MANY = "\n".join(f"## Section {{#section_{number} authority=user}}\nText." for number in range(1001))


@pytest.mark.parametrize(
    "content",
    ["", "Nothing.", "# Title {#only}\n\nText.", "x" * 2_000_001, MANY],
    ids=["empty", "no section", "no level", "too large", "too many"],
)
def test_read_release_refuses_what_has_no_clause_or_is_too_large(content: str) -> None:
    with pytest.raises(BadFile):
        read(content)


PIECES = [
    *DOCUMENT.split("\n"), "**Example**: x", "~~~xml", "~~~", "```", "<comparison>", "</comparison>", "<assistant>",
    "</assistant>", "<user comment=1>", "## A {#a authority=root}", "# {#", "[?](#a)", "[^b]", "\u202e", "", "    ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_read_release_reads_or_refuses_whatever_lines_come(lines: list[str]) -> None:
    content = "\n".join(["## First {#first authority=user}", "Text.", *lines])
    release = read(content, b="\n".join(lines))
    assert release.clauses[0].principle == "first"
    assert_accounted_for(content, release)


@given(st.text(max_size=300))
def test_read_release_reads_or_refuses_whatever_text_comes(content: str) -> None:
    assert read(f"## First {{#first authority=user}}\nText.\n{content}").clauses
    with pytest.raises(BadFile):
        read(content.replace("{#", ""))


def assert_accounted_for(content: str, release: Release) -> None:
    """Every line is a heading or its notation, or stands in a clause, an unmapped section or a note."""
    parts = [clause.text for clause in release.clauses]
    for example in (example for clause in release.clauses for example in clause.examples):
        parts += [example.request, example.right, example.wrong]
    parts += release.unmapped.values()
    parts += [note.text for note in release.notes]
    whole = unescape("\n".join(parts))
    notation = re.compile(r"#+ .*\{#.*\}|</?\w+( [^<>]*)?>( *<!-- (GOOD|BAD) -->)?|[~`]{3,}\w*|")
    for number, line in enumerate(content.split("\n"), start=1):
        said = re.sub(r"^\*\*Example\*\*: *|^<\w+[^<>]*> *<!--|-->$|\u202e", "", line.strip()).strip()
        assert unescape(said) in whole or notation.fullmatch(line.strip()), f"line {number} is lost: {line}"


def test_compare_names_a_section_that_goes_on_under_another_id_and_changes_in_the_unmapped() -> None:
    before = read(DOCUMENT)
    after = read(DOCUMENT.replace("{#be_kind ", "{#love ").replace("What this is about.", "What that is about."))
    assert [note.text for note in compare(before, after)] == [
        "“overview” is no clause, and its text changed since 2025-02-12.",
        "“be_kind” seems to go on as “love”: they share 100% of their words.",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "expects"),
    [
        ("I'm sorry, but I can’t help with that.", "Sure.", "decline"),
        ("Sorry, I can't.", "I can't wait to help!", "decline"),
        ("Here is how.", "I won't do that.", "help"),
        ("I'm so sorry that you feel this way.", "Pull yourself together.", "style"),
        ("I'm unable to do that.", "I cannot do that, and you should be ashamed.", "style"),
    ],
)
def test_expected_is_what_tells_the_two_responses_apart(right: str, wrong: str, expects: str) -> None:
    assert expected(right, wrong) == expects


def test_open_folder_reads_plain_files_of_known_names_only(tmp_path: Path) -> None:
    for name in ("versions/2025-02-12.md", "versions/draft.md", "examples/a1.md", "secret.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
    source = open_folder(tmp_path)
    assert [released for released, _path in source.files] == [date(2025, 2, 12)]
    assert set(source.linked) == {"a1"}
    (tmp_path / "examples" / "b2.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(BadFile, match="not a plain file"):
        open_folder(tmp_path)


def test_open_folder_refuses_a_folder_without_releases_and_dates_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="There is no release"):
        open_folder(tmp_path)
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "2025-13-45.md").write_text("text")
    with pytest.raises(BadFile, match="2025-13-45 is not a date"):
        open_folder(tmp_path)


def test_read_text_refuses_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "image.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFile, match="cannot be read"):
        read_text(tmp_path / "image.md")


def test_read_change_log_finds_what_it_says_of_each_date() -> None:
    content = "# Changelog\n\n## v2025.12.18\n\n* Simpler.\n* Kinder.\n\n## v2025.10.27\n\nFirst."
    assert read_change_log(content) == {date(2025, 12, 18): "* Simpler.\n* Kinder.", date(2025, 10, 27): "First."}


PAIR = {"critic": "Was it rude? Say how.", "revision": "Make it polite."}
CHAT = [
    {"role": role, "content": content}
    for role, content in (
        ("user", "Insult me."),
        ("assistant", "You fool."),
        ("user", PAIR["critic"]),
        ("assistant", "It was rude."),
        ("user", PAIR["revision"]),
        ("assistant", "I can't insult you; you seem fine."),
    )
]


def test_read_critiques_makes_a_clause_of_each_pair_with_its_conversations() -> None:
    found = read_critiques(json.dumps({"constitutions": [PAIR], "system_chat": [CHAT]}))
    (clause,) = found.clauses
    assert (clause.principle, clause.tier, clause.scope) == (name_of("Was it rude? Say how."), 2, {})
    assert clause.text == "Was it rude? Say how.\nMake it polite."
    (example,) = clause.examples
    assert (example.expects, example.request, example.wrong) == ("decline", "Insult me.", "You fool.")
    assert [note.text for note in found.notes] == ["Became: decline. Not kept: “It was rude.”"]


def test_read_critiques_lists_what_is_no_pair_or_shows_none() -> None:
    pairs = [
        PAIR,
        {"critic": 5, "revision": "No."},
        "text",
        {**PAIR, "author": "me"},
        {"critic": "A?", "revision": "\ud800"},
    ]
    chats = [CHAT[:4], [*CHAT[:2], {"role": "user", "content": "Why?"}, *CHAT[3:]], None]
    found = read_critiques(json.dumps({"constitutions": pairs, "system_chat": chats}))
    assert len(found.clauses) == 2
    assert [(note.kind, note.section, note.line) for note in found.notes] == [
        ("unmapped", "system_chat", 1),
        ("example", "system_chat", 2),
        ("unmapped", "system_chat", 3),
        ("unmapped", "constitutions", 2),
        ("unmapped", "constitutions", 3),
        ("unmapped", "constitutions", 4),
        ("unmapped", "constitutions", 4),
        ("character", "constitutions", 5),
        ("unmapped", "system_chat", 2),
    ]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"constitutions": {}}', '{"constitutions": [1]}', "[" * 100_000, "9" * 5000],
    ids=["empty", "a list", "nothing", "no list", "no pair", "deep", "long number"],
)
def test_read_critiques_refuses_what_holds_no_pair(content: str) -> None:
    with pytest.raises(BadFile):
        read_critiques(content)


def test_import_versions_adds_what_is_new_and_is_repeatable(reviewer: User) -> None:
    arrivals = [
        Arrival(
            datetime(2025, month, 1, tzinfo=UTC), f"Release {month}", "New.", [factories.make_clause("T-03", 3, text)]
        )
        for month, text in ((1, "Be brief."), (2, "Be brief."), (3, "Be kind."))
    ]
    first = import_versions(arrivals[:2], slug="other", title="Another", source="a shelf", by=reviewer)
    again = import_versions(arrivals, slug="other", title="Another", by=reviewer)
    assert [version and version.number for _arrival, version in (*first, *again)] == [1, None, None, None, 2]
    constitution = Constitution.objects.get(slug="other")
    assert (constitution.is_home, constitution.source) == (False, "a shelf")
    assert [version.published_at.month for version in constitution.versions.order_by("number")] == [1, 3]


def test_import_versions_leaves_the_constitution_at_home_alone(constitution: Version, reviewer: User) -> None:
    with pytest.raises(Refused, match="is amended here"):
        import_versions([], slug=constitution.constitution.slug, title="Mine", by=reviewer)


def test_import_versions_is_all_or_nothing(reviewer: User) -> None:
    clause = factories.make_clause("T-03", 3, "Be brief.")
    arrivals = [Arrival(None, "One", "One.", [clause]), Arrival(None, "Two", "Two.", [clause, clause])]
    with pytest.raises(Refused, match="came twice"):
        import_versions(arrivals, slug="other", title="Another", by=reviewer)
    assert not Constitution.objects.filter(slug="other").exists()


def test_exported_history_is_imported_as_the_same_history(
    constitution: Version, reviewer: User, tmp_path: Path, settings: Settings
) -> None:
    settings.SIGNING_KEY = ""
    write_history(constitution.constitution, tmp_path)
    call_command("import_constitution", str(tmp_path), slug="copy", title="A copy", by="ada", stdout=StringIO())
    (here,), (copy,) = history(constitution.constitution), history(Constitution.objects.get(slug="copy"))
    assert (here.digest, here.clauses, here.published_at) == (copy.digest, copy.clauses, copy.published_at)


def test_read_history_refuses_an_altered_file(constitution: Version, tmp_path: Path, settings: Settings) -> None:
    settings.SIGNING_KEY = ""
    write_history(constitution.constitution, tmp_path)
    path = tmp_path / "clauses.jsonl"
    content = path.read_text()
    path.write_text(content.replace("preach", "teach"))
    with pytest.raises(BadFile, match=r"clauses.jsonl, line 4: this wording of T-03 was altered"):
        list(read_history(tmp_path))
    path.write_text("".join(content.splitlines(keepends=True)[1:]))
    with pytest.raises(BadFile, match=r"versions.jsonl, line 1: the clause \w+ is not in clauses.jsonl"):
        list(read_history(tmp_path))
    path.write_text("[1]")
    with pytest.raises(BadFile, match="this is not an object"):
        list(read_history(tmp_path))


def test_commands_say_what_is_wrong_with_a_file(db: None, reviewer: User, tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text("{}")
    with pytest.raises(CommandError, match="no list “constitutions”"):
        call_command("import_critiques", str(tmp_path / "pairs.json"), slug="pairs", title="Pairs", by="ada")
    with pytest.raises(CommandError, match="There is no release"):
        call_command("import_constitution", str(tmp_path), slug="other", title="Other", by="ada")
    with pytest.raises(CommandError, match="no account named nobody"):
        call_command("import_constitution", str(tmp_path), slug="other", title="Other", by="nobody")


# Real documents

# Sections with an id; clauses; added, revised and repealed since the release before.
EXPECTED = {
    "2025-02-12": (71, 51, Counter()),
    "2025-04-11": (71, 51, Counter(revised=3)),
    "2025-09-12": (77, 57, Counter(added=10, revised=39, repealed=4)),
    "2025-10-27": (78, 58, Counter(added=1, revised=11)),
    "2025-12-18": (80, 59, Counter(added=1, revised=5)),
}


def releases() -> list[Release]:
    source = open_folder(SPEC)
    return [read_release(read_text(path), released=day, linked=source.linked) for day, path in source.files]


@needs_spec
def test_real_releases_have_the_sections_and_changes_of_the_document() -> None:
    found = releases()
    changed = [changes(before.clauses, after.clauses) for before, after in pairwise(found)]
    kinds = [Counter[str](), *(Counter(change.kind for change in some) for some in changed)]
    counts = [(release.sections, len(release.clauses)) for release in found]
    assert [(*some, kind) for some, kind in zip(counts, kinds, strict=True)] == list(EXPECTED.values())


@needs_spec
def test_real_releases_lose_nothing() -> None:
    source = open_folder(SPEC)
    for (_day, path), release in zip(source.files, releases(), strict=True):
        assert_accounted_for(read_text(path), release)
        assert len(release.clauses) + len(release.unmapped) == release.sections
        assert {note.section for note in release.notes if note.kind == "unmapped"} == set(release.unmapped)


@needs_spec
def test_real_releases_change_what_their_change_log_says() -> None:
    """Some entries of the document's own change log, each found in the clauses of that release."""
    first, april, september, october, december = ({c.principle: c for c in r.clauses} for r in releases())
    assert {name for name in april if april[name] != first[name]} == {
        "do_not_lie",  # "narrows the exception for white lies"
        "avoid_overstepping",  # "fixes a bug in an example"
        "do_not_facilitate_illicit_behavior",  # "fixes LaTeX syntax in a few of the examples"
    }
    assert (april["comply_with_laws"].tier, september["comply_with_laws"].tier) == (1, 2)  # moved to system level
    assert {"scope_of_autonomy", "control_side_effects", "no_other_objectives"} <= set(september) - set(april)
    assert set(october) - set(september) == {"respect_real_world_ties"}
    assert october["do_not_encourage_self_harm"].title.endswith("self-harm, delusions, or mania")
    assert set(december) - set(october) == {"prioritize_teen_safety"}


@needs_spec
def test_real_releases_are_imported_as_versions_with_their_dates(reviewer: User, tmp_path: Path) -> None:
    said, report = StringIO(), tmp_path / "report.txt"
    options = {"slug": "spec", "title": "A model's rules", "by": "ada", "report": report}
    call_command("import_constitution", str(SPEC), stdout=said, **options)
    versions = list(Constitution.objects.get(slug="spec").versions.order_by("number"))
    assert [f"{version.published_at:%Y-%m-%d}" for version in versions] == list(EXPECTED)
    assert "Under-18 Safety Mode" in versions[-1].summary
    rows = {row.principle_id: row for row in versions[-1].version_clauses.all()}
    assert (rows["scope_of_autonomy"].since, rows["prioritize_teen_safety"].since) >= (3, 5)
    # Ten lines of text stayed, and some came with the third release: blame knows which.
    assert {1, 3} <= set(rows["letter_and_spirit"].origins)
    assert "2025-09-12 release" in report.read_text()
    call_command("import_constitution", str(SPEC), stdout=said, **options)
    assert said.getvalue().count("nothing new, passed over") == 5


@needs_critiques
@pytest.mark.parametrize(
    ("name", "clauses", "examples"), [("constitution_anthropic.json", 16, 4), ("constituion_grok.json", 2, 3)]
)
def test_real_pairs_become_clauses(reviewer: User, name: str, clauses: int, examples: int) -> None:
    said = StringIO()
    call_command("import_critiques", str(CRITIQUES / name), slug="pairs", title="Pairs", by="ada", stdout=said)
    texts = Version.objects.get(constitution__slug="pairs").texts()
    assert (len(texts), sum(len(clause.examples) for clause in texts)) == (clauses, examples)
    assert f"Published version 1: {clauses} clauses." in said.getvalue()
    with pytest.raises(CommandError, match="Nothing would change"):
        call_command("import_critiques", str(CRITIQUES / name), slug="pairs", title="Pairs", by="ada", stdout=said)
