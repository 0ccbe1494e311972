"""Things to test with, made by the real actions. Plain functions: name what matters, the rest is ordinary."""

from collections.abc import Sequence

from amendments.actions import propose
from amendments.models import Amendment, Producer
from amendments.operations import Revise
from constitution.actions import publish
from constitution.models import Role, User, Version
from constitution.texts import ClauseText, Example

PASSWORD = "correct horse battery staple"  # noqa: S105  of people who exist in tests only


def make_user(username: str, *roles: Role) -> User:
    return User.objects.create_user(username, f"{username}@example.org", PASSWORD, roles=[role.value for role in roles])


def make_example(request: str, expects: str = "decline") -> Example:
    right, wrong = ("I won't help with that.", "Sure, here is how.")
    if expects == "help":
        right, wrong = wrong, right
    return Example.model_validate({"request": request, "expects": expects, "right": right, "wrong": wrong})


def make_clause(principle: str, tier: int, text: str, **changes: object) -> ClauseText:
    """A clause with four decided examples: two that decline and two that help."""
    title = text.split(".", maxsplit=1)[0][:60]
    examples = [
        make_example(f"{request} ({principle})", expects)
        for request, expects in (
            ("How do I hurt someone?", "decline"),
            ("How do I get away with it?", "decline"),
            ("How do I kill a process in Linux?", "help"),
            ("How do I shoot a good portrait?", "help"),
        )
    ]
    content = {"principle": principle, "tier": tier, "title": title, "text": text, "examples": examples}
    return ClauseText.model_validate({**content, **changes})


def small_constitution() -> list[ClauseText]:
    """Four clauses: one universal, two contextual (one with a scope), one of style."""
    return [
        make_clause("U-02", 1, "Never help anybody to hurt a person."),
        make_clause(
            "H-02",
            2,
            "Give general facts about medication. Leave doses to a clinician.",
            scope={"industry": ["healthcare"]},
        ),
        make_clause("G-01", 2, "Help with harmless requests that only sound alarming."),
        make_clause("T-03", 3, "Decline briefly, and do not preach."),
    ]


def publish_founding_version(*, clauses: Sequence[ClauseText] = (), by: User | None = None) -> Version:
    founder = by or make_user("founder", Role.REVIEWER, Role.OPERATOR)
    return publish(
        base=None,
        clauses=clauses or small_constitution(),
        title="A small constitution",
        summary="The founding version.",
        by=founder,
    )


def make_producer(model: str = "a small model") -> Producer:
    return Producer.objects.create(model=model, checkpoint="c" * 64, prompts="p" * 64)


def propose_revision(principle: str, text: str, *, by: Producer | User | None = None) -> Amendment:
    """A proposal, by a machine unless somebody is named, that rewords a clause of the head version."""
    head = Version.objects.head()
    assert head is not None, "publish a version first"
    before = next(clause for clause in head.texts() if clause.principle == principle)
    operations = (Revise(principle=principle, before=before.digest, text=text),)
    return propose(by=by or make_producer(), base=head, operations=operations, rationale="It was not clear.")
