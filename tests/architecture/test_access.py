"""Who gets what at every address. A new address fails here until somebody has written down who may use it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from amendments import cases
from amendments.models import Amendment
from constitution import profiles
from constitution.models import Role, User, Version
from constitution.profile_texts import ProfileText
from tests import factories

ROLES = tuple(Role.values)
SIGN_IN = "/accounts/login/"


@dataclass(frozen=True)
class Access:
    """Who may use an address: `open` to everyone, else the roles; `empty_handed`: also people without a role.
    One of the API is used `by_token`: a session opens nothing there.
    """

    roles: tuple[str, ...] = ROLES
    empty_handed: bool = False
    is_open: bool = False
    by_token: bool = False
    method: str = "get"
    accepted: tuple[int, ...] = (200,)
    refused: tuple[int, ...] = (403,)
    data: dict[str, str] = field(default_factory=dict)
    kwargs: tuple[str, ...] = ()  # names of the things it is about, see `Things`


@dataclass(frozen=True)
class Things:
    """What the addresses are about."""

    pk: int
    number: int
    old: int
    new: int
    digest: str
    profile: str
    slug: str = "home"
    producer: int = 0
    table: str = "acceptance"
    version: str = "head"
    principle: str = "U-02"
    dimension: str = "region"
    rest: str = "nothing/here"
    case: int = 0
    cluster: int = 0


READ = Access()
DECIDE = Access(roles=(Role.REVIEWER,), method="post", accepted=(302,), kwargs=("pk",))
RESTRAIN = Access(
    roles=(Role.REVIEWER, Role.OPERATOR), method="post", accepted=(302,), kwargs=("producer",), data={"most": "9"}
)
CALL = Access(by_token=True)
CURATORS = (Role.REVIEWER, Role.RESEARCHER, Role.OPERATOR)
ACCESS = {
    "api:reference": Access(is_open=True),
    "api:openapi": Access(is_open=True),
    "api:ping": Access(is_open=True),
    "api:missing": Access(is_open=True, accepted=(404,), kwargs=("rest",)),
    "api:constitutions": CALL,
    "api:constitution": Access(by_token=True, kwargs=("slug",)),
    "api:versions": Access(by_token=True, kwargs=("slug",)),
    "api:version": Access(by_token=True, kwargs=("slug", "version")),
    "api:clauses": Access(by_token=True, kwargs=("slug", "version")),
    "api:clause": Access(by_token=True, kwargs=("slug", "version", "principle")),
    "api:history": Access(by_token=True, kwargs=("slug",)),
    "api:diff": Access(by_token=True, kwargs=("slug", "old", "new")),
    "api:contexts": CALL,
    "api:context-values": Access(by_token=True, kwargs=("dimension",)),
    "api:effective": Access(by_token=True, kwargs=("slug",)),
    "api:effective-text": Access(by_token=True, kwargs=("slug",)),
    "api:profiles": CALL,
    "api:profile": Access(by_token=True, kwargs=("slug",)),
    "api:profile-base": Access(by_token=True, method="put", kwargs=("slug",)),
    "healthz": Access(is_open=True),
    "sign-in-by-link": Access(is_open=True, accepted=(403,)),  # without a valid link
    "amendments:queue": READ,
    "amendments:queue-next": Access(roles=(Role.REVIEWER,), method="post", accepted=(302,)),
    "amendments:queue-many": READ,
    "amendments:claim": Access(kwargs=("pk",), accepted=(302,)),  # the piece alone; without htmx, the page
    "amendments:claim-renew": Access(kwargs=("pk",), method="post", accepted=(302,)),  # says why not
    "amendments:claim-release": Access(kwargs=("pk",), method="post", accepted=(302,)),
    "amendments:view-save": Access(method="post", accepted=(302,), data={"filters": "tier=2", "name": "Mine"}),
    "amendments:view-change": Access(kwargs=("pk",), method="post", accepted=(404,)),  # there is none of theirs
    "amendments:amendment-detail": Access(kwargs=("pk",)),
    "amendments:amendment-accept": DECIDE,
    "amendments:amendment-edit": DECIDE,
    "amendments:amendment-example": Access(  # the proposal decides none
        roles=(Role.REVIEWER,), method="post", accepted=(409,), kwargs=("pk",)
    ),
    "amendments:amendment-reject": DECIDE,
    "amendments:amendment-changes": DECIDE,
    "amendments:amendment-defer": Access(
        roles=(Role.REVIEWER,),
        method="post",
        accepted=(302,),
        kwargs=("pk",),
        data={"until": (timezone.localdate() + timedelta(days=9)).isoformat()},
    ),
    "amendments:amendment-bring-back": DECIDE,
    "amendments:amendment-refer": Access(
        roles=(Role.REVIEWER,), method="post", accepted=(409,), kwargs=("pk",), data={"reason": "values"}
    ),
    "amendments:amendment-recall": Access(roles=(Role.REVIEWER,), method="post", accepted=(409,), kwargs=("pk",)),
    "amendments:amendment-board-vote": Access(
        roles=(Role.BOARD,), method="post", accepted=(409,), kwargs=("pk",), data={"reason": "for"}
    ),
    "amendments:amendment-duplicate": Access(
        roles=(Role.REVIEWER,), method="post", accepted=(409,), kwargs=("pk",), data={"of": "0"}
    ),
    "amendments:amendment-assign": DECIDE,
    "amendments:amendment-undo": Access(method="post", accepted=(409,), kwargs=("pk",)),  # nobody has a vote here
    "amendments:amendment-settle": Access(
        roles=(Role.REVIEWER, Role.BOARD), method="post", accepted=(302,), kwargs=("pk",)
    ),
    "amendments:amendment-withdraw": Access(method="post", accepted=(302,), kwargs=("pk",)),  # says why not
    "amendments:propose": Access(kwargs=("principle",)),
    "amendments:insights": READ,
    "amendments:insights-table": Access(kwargs=("table",)),
    "amendments:known-items-plant": Access(roles=(Role.OVERSEER,), method="post", accepted=(302,), data={"most": "1"}),
    "amendments:producers": READ,
    "amendments:producer-detail": Access(kwargs=("producer",)),
    "amendments:producer-quota": RESTRAIN,
    "amendments:producer-quarantine": RESTRAIN,
    "amendments:producer-lift": replace(RESTRAIN, accepted=(409,)),  # it is in none
    "amendments:producer-reject": replace(RESTRAIN, roles=(Role.REVIEWER,), accepted=(409,)),  # that is in none
    "amendments:discussion": Access(kwargs=("pk",), accepted=(302,)),  # to its place on the page
    "amendments:discussion-say": Access(kwargs=("pk",), method="post", accepted=(302,)),
    "amendments:inbox": READ,
    "amendments:inbox-link": READ,
    "amendments:inbox-read": Access(method="post", accepted=(302,)),
    "amendments:desk-settings": READ,
    "amendments:decisions-feed": READ,
    "amendments:edge-cases": READ,
    "amendments:edge-case-add": READ,
    "amendments:edge-case-import": READ,
    "amendments:edge-cases-mark": Access(roles=CURATORS, method="post", accepted=(409,), data={"kind": "real"}),  # none
    "amendments:edge-case-detail": Access(kwargs=("case",)),
    "amendments:edge-case-mark": Access(
        roles=CURATORS, method="post", accepted=(302,), kwargs=("case",), data={"kind": "real"}
    ),
    "amendments:cluster-detail": Access(kwargs=("cluster",)),
    "amendments:cluster-merge": Access(roles=CURATORS, method="post", accepted=(409,), kwargs=("cluster",)),  # no other
    "amendments:cluster-split": Access(roles=CURATORS, method="post", accepted=(409,), kwargs=("cluster",)),
    "amendments:cluster-take-back": Access(roles=CURATORS, method="post", accepted=(409,), kwargs=("cluster",)),
    "constitution:head": READ,
    "constitution:version-detail": Access(kwargs=("number",)),
    "constitution:version-prompt": Access(kwargs=("number",)),
    "constitution:proofs": Access(kwargs=("number",)),
    "constitution:compare": Access(kwargs=("old", "new")),
    "constitution:version-blame": Access(kwargs=("number",)),
    "constitution:clause-life": Access(kwargs=("principle",)),
    "constitution:history": READ,
    "constitution:history-as-of": Access(accepted=(302,)),  # without a day: back to the history
    "constitution:compare-choose": READ,
    "constitution:search": READ,
    "constitution:bisect": READ,
    "constitution:by-digest": Access(kwargs=("digest",), accepted=(404,)),  # of no version and no clause
    "constitution:profiles": READ,
    "constitution:profile-new": READ,
    "constitution:profile-detail": Access(kwargs=("profile",)),
    "constitution:profile-prompt": Access(kwargs=("profile",)),
    "constitution:profile-proofs": Access(kwargs=("profile",)),
    "constitution:profile-history": Access(kwargs=("profile",)),
    "constitution:profile-edit": Access(roles=(Role.OPERATOR,), kwargs=("profile",)),  # and its owner
    "constitution:profile-follow": Access(roles=(Role.OPERATOR,), method="post", accepted=(302,), kwargs=("profile",)),
    "constitution:profile-seen": Access(
        roles=(Role.OPERATOR,), method="post", accepted=(302,), kwargs=("profile",), data={"number": "1"}
    ),
    "constitution:settings": Access(empty_handed=True),
    "constitution:tokens": READ,
    "constitution:token-rate": Access(kwargs=("pk",), method="post", accepted=(404,)),  # there is no token here
    "constitution:token-revoke": Access(kwargs=("pk",), method="post", accepted=(404,)),
    "training:rounds": READ,
    "training:round-begin": Access(roles=(Role.OPERATOR,)),
    "training:round-detail": Access(kwargs=("pk",), accepted=(404,)),  # there is no round here
    "training:round-series": Access(kwargs=("pk",), accepted=(404,)),
    "training:round-log": Access(kwargs=("pk",), accepted=(404,)),
    "training:round-trends": READ,
    "training:round-choose": Access(accepted=(302,)),
    "training:round-changes": Access(kwargs=("old", "new"), accepted=(404,)),
    "training:round-drift": Access(kwargs=("pk",), accepted=(404,)),
    "training:round-resume": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a"}),
    "training:round-retry": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a"}),
    "training:round-roll-back": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a", "step": "5"}),
    "training:round-abort": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a"}),
    "training:readings": READ,
    "training:reading-detail": Access(kwargs=("pk",), accepted=(404,)),  # there is no reading here
    "training:alerts": READ,
    "training:webhooks": Access(roles=(Role.OPERATOR,)),
    "training:webhook-remove": Access(  # there is none
        roles=(Role.OPERATOR,), kwargs=("pk",), method="post", accepted=(404,)
    ),
    "training:delivery-resend": Access(roles=(Role.OPERATOR,), kwargs=("pk",), method="post", accepted=(404,)),
    "training:judges": READ,
    "training:forecasts": READ,
    "training:preview-ask": Access(roles=(Role.REVIEWER,), method="post", accepted=(409,), kwargs=("pk",)),  # no model
    "training:models": READ,
    "training:model-detail": Access(kwargs=("pk",), accepted=(404,)),  # there is no model here
    "training:model-promote": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a"}),
    "training:model-roll-back": Access(kwargs=("pk",), method="post", accepted=(404,), data={"note": "a"}),
    "training:model-changes": Access(kwargs=("old", "new"), accepted=(404,)),
    "training:model-change-log": Access(kwargs=("old", "new"), accepted=(404,)),
}
# Another package's pages about a person's own account; what is behind the sign-in is up to it.
FOREIGN = ("account_", "mfa_", "socialaccount_", "usersessions_")
# Of those, what somebody may open who is not signed in.
FOREIGN_OPEN = {"account_login", "account_signup", "account_reset_password", "account_reset_password_done",
    "account_reset_password_from_key", "account_reset_password_from_key_done", "account_inactive",
    "account_confirm_email", "account_email_verification_sent", "account_request_login_code",
    "account_confirm_login_code", "account_logout", "mfa_authenticate", "mfa_trust", "mfa_login_webauthn",
    "mfa_signup_webauthn", "account_signup_by_passkey", "account_complete_signup"}  # fmt: skip


def names(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """The names of all addresses, with their namespaces."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from names(entry, f"{prefix}{entry.namespace}:" if entry.namespace else prefix)
        elif isinstance(entry, URLPattern):
            assert entry.name, f"{prefix}{entry.pattern} has no name"
            yield f"{prefix}{entry.name}"


OURS = sorted({name for name in names() if not name.startswith(FOREIGN)})


@pytest.fixture
def things(constitution: Version) -> Things:
    amendment = factories.propose_revision("T-03", "Decline in one sentence.")
    owner = factories.make_user("owner", Role.RESEARCHER)
    profile = profiles.create(content=ProfileText(slug="ward", name="Ward"), by=owner)
    case = cases.add(
        text=cases.CaseText(prompt="Is it safe?", response="No.", principle="G-01", why="It does not say."), by=owner
    )
    return Things(
        pk=amendment.pk,
        number=1,
        old=1,
        new=1,
        digest=amendment.digest,
        case=case.pk,
        cluster=case.cluster_id,
        profile=profile.slug,
        producer=amendment.producer_id or 0,
    )


def ask(client: Client, name: str, access: Access, things: Things) -> HttpResponseBase:
    address = reverse(name, kwargs={argument: getattr(things, argument) for argument in access.kwargs})
    data = {"digest": things.digest, "text": "Decline kindly.", "reason": "other", "note": "No.", **access.data}
    send: Callable[..., HttpResponseBase] = getattr(client, access.method)
    return send(address, data if access.method == "post" else {})


def test_every_address_is_listed() -> None:
    assert sorted(ACCESS) == OURS


@pytest.mark.parametrize("name", OURS)
def test_anonymous_is_sent_to_the_sign_in(client: Client, things: Things, name: str) -> None:
    access = ACCESS[name]
    answer = ask(client, name, access, things)
    if access.is_open:
        assert answer.status_code in access.accepted
    elif access.by_token:
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"
    else:
        assert answer.status_code == 302
        assert answer["Location"].startswith(SIGN_IN)


@pytest.mark.parametrize("role", [*ROLES, ""])
@pytest.mark.parametrize("name", OURS)
def test_role_gets_what_is_its_own(client: Client, things: Things, name: str, role: str) -> None:
    access = ACCESS[name]
    client.force_login(person(role))
    may = access.is_open or (role in access.roles if role else access.empty_handed)
    answer = ask(client, name, access, things)
    if access.by_token:
        assert answer.status_code == 401  # a session is nothing to it
        return
    refused = access.refused if role else (404,)  # to a stranger there is nothing here
    assert answer.status_code in (access.accepted if may else refused)


@pytest.mark.parametrize("name", [name for name, access in ACCESS.items() if access.method == "post" and name in OURS])
def test_refused_person_changes_nothing(client: Client, things: Things, stranger: User, name: str) -> None:
    client.force_login(stranger)
    ask(client, name, ACCESS[name], things)
    assert Version.objects.count() == 1
    assert Amendment.objects.undecided().count() == 1


@pytest.mark.parametrize("name", [name for name, access in ACCESS.items() if access.method == "post" and name in OURS])
def test_writing_address_refuses_get(client: Client, things: Things, reviewer: User, name: str) -> None:
    client.force_login(reviewer)
    kwargs = {argument: getattr(things, argument) for argument in ACCESS[name].kwargs}
    assert client.get(reverse(name, kwargs=kwargs)).status_code == 405


@pytest.mark.parametrize("name", OURS)
def test_address_declares_its_methods(client: Client, things: Things, reviewer: User, name: str) -> None:
    client.force_login(reviewer)
    kwargs = {argument: getattr(things, argument) for argument in ACCESS[name].kwargs}
    assert client.patch(reverse(name, kwargs=kwargs)).status_code == (404 if name == "api:missing" else 405)


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(FOREIGN) and name not in FOREIGN_OPEN])
def test_account_pages_want_a_sign_in(client: Client, db: None, name: str) -> None:
    try:
        address = reverse(name)
    except Exception:  # noqa: BLE001  addresses about one thing of one person: nothing to ask for here
        pytest.skip("needs an argument")
    answer = client.get(address)
    assert answer.status_code in (302, 404, 405)
    if answer.status_code == 302:
        assert answer["Location"].startswith(SIGN_IN)


def person(role: str) -> User:
    return factories.make_user(f"person-{role or 'empty'}", *([Role(role)] if role else []))
