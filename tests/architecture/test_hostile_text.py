"""Text that no column holds, or that nobody can see: wherever it is sent it is refused in a sentence, nothing breaks.

What an address reads is found in the module of its view, so that a new field is asked as well.
"""

import inspect
import re
import sys

import pytest
from django.test import Client
from django.urls import resolve, reverse

from amendments import policies
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, Version
from constitution.texts import written
from tests import factories
from tests.architecture.test_access import ACCESS, OURS, Access, Things, ask, things
from tests.constitution.test_api import client_of
from training.policies import check_note

__all__ = ["things"]  # the fixture

READS = re.compile(r"""(?:GET|get|query)(?:\.get(?:list)?)?\(\s*"(\w+)"|GET\["(\w+)"\]""")
SHARED = {"after", "before", "q"}
RIGHT_TO_LEFT = "מילים בעברית, con acentos, 👩‍👩‍👧, a tab\tand\ntwo lines"
# The address, and the field of its form in which people write something.
FIELDS = (
    ("amendment-reject", "note"),
    ("amendment-changes", "note"),
    ("amendment-defer", "note"),
    ("amendment-refer", "note"),
    ("amendment-board-vote", "note"),
    ("amendment-edit", "note"),
    ("amendment-edit", "text"),
    ("discussion-say", "text"),
    ("cluster-split", "label"),
    ("edge-case-mark", "note"),
    ("producer-quarantine", "note"),
    ("queue-many", "note"),
    ("queue-many", "to"),
    ("propose", "rationale"),
)


def _fields(module: str) -> set[str]:
    found = READS.findall(inspect.getsource(sys.modules[module]))
    return {one or other for one, other in found} | SHARED


def test_nul_in_an_address_breaks_nothing(client: Client, things: Things) -> None:
    user = factories.make_user("everybody", *Role)
    client.force_login(user)
    by_token = client_of(user)
    for name in OURS:
        access: Access = ACCESS[name]
        address = reverse(name, kwargs={argument: getattr(things, argument) for argument in access.kwargs})
        asker = by_token if access.by_token else client
        for field in _fields(resolve(address).func.__module__):
            assert asker.get(address, {field: "a\x00b"}).status_code < 500, (name, field)


@pytest.mark.parametrize("mark", ["\x00", "\u202e", "\x1b"])
@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_hidden_character_is_refused_in_a_sentence(
    client: Client, things: Things, name: str, field: str, mark: str
) -> None:
    before = LedgerEntry.objects.count()
    client.force_login(factories.make_user("everybody", *Role))
    do = "assign" if field == "to" else "reject"
    access = ACCESS[f"amendments:{name}"]
    clause = next(clause for clause in Version.objects.get().texts() if clause.principle == things.principle)
    data = {**access.data, "do": do, "item": f"{things.pk}:{things.digest}", "reason": "against"}
    data |= {"title": clause.title, "before": clause.digest, field: f"Because{mark} so."}
    posted = Access(kwargs=access.kwargs, method="post", data=data)
    answer = ask(client, f"amendments:{name}", posted, things)
    assert answer.status_code in (409, 422)
    assert f"hidden character U+{ord(mark):04X}; remove it" in answer.content.decode()  # type: ignore[attr-defined]
    assert LedgerEntry.objects.count() == before


@pytest.mark.parametrize("check", [written, policies.check_says_why, check_note])
def test_ordinary_text_of_any_language_is_kept(check: object) -> None:
    assert callable(check)
    assert check(RIGHT_TO_LEFT) == RIGHT_TO_LEFT
    assert check(" Two\r\nlines.\r ") == "Two\nlines."
    for mark in ("\x00", "\u202e", "\u2066", "\ufeff", "\x85", "\ud800"):
        with pytest.raises(Refused, match="hidden character"):
            check(f"Be{mark}cause.")
