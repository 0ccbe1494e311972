"""What people who run the models are told of a change: by clause, by amendment, in tone, and as a file."""

import html
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amendments.models import Scenario
from constitution.models import User, Version
from tests.training.finished import make_model
from tests.training.test_realised import accept, version_of
from training import behaviour, registry, tone
from training.behaviour import Comparison
from training.models import Checkpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scenarios")]
HOSTILE = "<script>alert(1)</script> | `x` [link](javascript:1)\n# A heading?"


@pytest.fixture
def client(client: Client, researcher: User) -> Client:
    client.force_login(researcher)
    return client


@pytest.fixture
def versions(
    constitution: Version, scenarios: list[Scenario], reviewer: User, other_reviewer: User
) -> tuple[Version, Version]:
    """Two versions; between them lies one amendment of G-01."""
    first = version_of(
        accept("Help where it only sounds alarming.", by=reviewer, proposer=other_reviewer, is_measured=False)
    )
    second = accept("Never help with what sounds alarming.", by=reviewer, proposer=other_reviewer, is_measured=False)
    return first, version_of(second)


@pytest.fixture
def make(versions: tuple[Version, Version]) -> Callable[..., tuple[Checkpoint, Checkpoint]]:
    def make(before: tuple[bool | None, ...], after: tuple[bool | None, ...], **changes: str) -> tuple[Checkpoint, ...]:
        return tuple(
            make_model(version, refusals=refusals, **changes)  # type: ignore[arg-type]
            for version, refusals in zip(versions, (before, after), strict=True)
        )

    return make  # type: ignore[return-value]


def compared(old: Checkpoint, new: Checkpoint) -> Comparison:
    return behaviour.compare(*(registry.registered().get(pk=row.pk) for row in (old, new)))


def page(client: Client, name: str, *args: int) -> str:
    answer = client.get(reverse(f"training:{name}", args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def test_changes_stand_beside_the_amendment_that_touched_their_clause(
    make: Callable[..., tuple[Checkpoint, Checkpoint]], client: Client
) -> None:
    old, new = make((False,) * 8, (True,) * 8)
    found = compared(old, new)
    (cause,) = found.causes()
    under = [row for row in found.changed if row.principle == "G-01"]
    assert 0 < len(under) < len(found.changed)
    assert (cause.refused, cause.answered) == (len(under), 0)
    assert found.untouched("refused") == len(found.changed) - len(under)
    assert not found.goes_back
    text = page(client, "model-changes", old.pk, new.pk)
    assert cause.amendment.get_absolute_url() in text
    assert "no proof that it does" in text
    back = compared(new, old)
    assert back.goes_back
    assert (back.causes()[0].refused, back.causes()[0].answered) == (0, len(under))
    assert "these amendments were taken back" in page(client, "model-changes", new.pk, old.pk)


def test_models_of_one_version_have_no_amendment_between_them(versions: tuple[Version, Version]) -> None:
    found = compared(*(make_model(versions[0], refusals=(flag,)) for flag in (False, True)))
    assert found.causes() == []
    assert found.untouched("refused") == 1


def test_page_takes_the_same_queries_for_many_requests(
    make: Callable[..., tuple[Checkpoint, Checkpoint]], client: Client
) -> None:
    counts = []
    for n in (1, 8):
        old, new = make((False,) * n, (True,) * n)
        with CaptureQueriesContext(connection) as found:
            page(client, "model-changes", old.pk, new.pk)
        counts.append(len(found))
    assert counts[0] == counts[1]


def test_file_says_what_the_page_says_and_reads_no_markup(
    make: Callable[..., tuple[Checkpoint, Checkpoint]], client: Client
) -> None:
    old, new = make((False, True), (True, True), prompt=HOSTILE)
    answer = client.get(reverse("training:model-change-log", args=[old.pk, new.pk]))
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="model-{old.pk}-to-{new.pk}.md"'
    text = answer.content.decode()
    assert "- Newly declined: 1 of 2 (50 %, 9 to 91)" in text
    assert "## By amendment" in text
    assert "which is advisory" in text
    assert "<script>" not in text
    assert "\\<script\\>alert(1)\\</script\\> \\| \\`x\\` \\[link\\](javascript:1) \\# A heading?" in text
    shown = page(client, "model-changes", old.pk, new.pk)
    assert "<script>alert(1)" not in shown
    assert html.escape("<script>alert(1)</script>") in shown


def test_model_is_not_compared_with_itself(make: Callable[..., tuple[Checkpoint, Checkpoint]], client: Client) -> None:
    old, _ = make((False,), (True,))
    for name in ("model-changes", "model-change-log"):
        assert client.get(reverse(f"training:{name}", args=[old.pk, old.pk])).status_code == 404


@pytest.mark.parametrize(
    ("sign", "text", "has"),
    [
        ("says sorry first", "I'm sorry, I can't help.", True),
        ("says sorry first", "I can't. Sorry about that.", False),
        ("gives a reason", "I can't help, because it would hurt people.", True),
        ("gives a reason", "I can't help.", False),
        ("offers something else", "Here is a recipe instead.", True),
        ("exclaims", "Sure!", True),
        ("exclaims", "Sure.", False),
        ("says sorry first", "", False),
    ],
)
def test_signs_of_tone(sign: str, text: str, has: bool) -> None:
    assert tone.SIGNS[sign](text) is has


def test_tone_counts_pairs_and_says_how_sure_it_is() -> None:
    pairs = [("I can't help.", "I'm sorry, I can't help with that at all."), ("No.", "No.")] * 10
    found = tone.compare(pairs)
    assert found.n == 20
    assert (found.longer.k, found.shorter.k) == (10, 0)
    sorry = next(sign for sign in found.signs if sign.name == "says sorry first")
    assert (sorry.before.k, sorry.after.k) == (0, 10)
    assert sorry.change is not None
    change, low, high = sorry.change
    assert change == 50
    assert 0 < low < change < high < 100
    assert tone.paired_change(0, 0, 0) is None
    none, low, high = tone.paired_change(0, 0, 20) or (1.0, 0.0, 0.0)
    assert none == 0
    assert low < 0 < high, "no change in twenty pairs is not certain"
