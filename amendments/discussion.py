"""What is said of a proposal: by whom, for whom, in which phase, and of which wording. Nothing is edited afterwards."""

from django.db import transaction

from amendments import notices
from amendments.errors import RoleMissing
from amendments.models import Amendment, Audience, Comment, Phase
from amendments.policies import check_is_not_told
from amendments.visibility import is_judge, phase
from config.live import publish as announce
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import User
from constitution.texts import written

COMMENT_LIMIT = 4000


@transaction.atomic
def say(*, amendment: Amendment, by: User, text: str, audience: str) -> Comment:
    """Add to the discussion. Raises NotAllowed where `by` may not, Refused for a text that nobody can keep."""
    row = Amendment.objects.select_for_update(of=("self",)).get(pk=amendment.pk)
    check_can_say(row, by, audience)
    comment = Comment.objects.create(
        amendment=row, author=by, text=_checked(text), audience=audience, phase=phase(row), digest=row.digest
    )
    if not is_hidden(comment):
        announce(f"discussion:{row.pk}")
    notices.mention(comment)
    detail = {"content": row.digest, "audience": audience}
    ledger.append(action="comment made", by=by, subject=f"amendment:{row.pk}", detail=detail)
    return comment


def check_can_say(amendment: Amendment, by: User, audience: str) -> None:
    """Everybody with a role says something to everybody; among reviewers, those who decide."""
    if not by.is_active or not by.roles:
        raise RoleMissing("A role is needed to take part. An operator can give you one.")
    if not amendment.is_undecided:
        raise Refused("This is decided, so its discussion is closed. What you wrote was not kept; propose a change.")
    check_is_not_told(amendment, by)
    if audience not in Audience.values:
        raise Refused("Say for whom it is: everybody, or the reviewers.")
    if audience == Audience.REVIEWERS and not is_judge(amendment, by):
        raise NotAllowed("Only those who decide on it write to the reviewers. Write to everybody.")


def is_hidden(comment: Comment) -> bool:
    """Whether only its author reads it for now."""
    return comment.audience == Audience.REVIEWERS and comment.phase == Phase.INDEPENDENT


def _checked(text: str) -> str:
    """The text as it is kept. Raises Refused."""
    found = written(text)
    if not found:
        raise Refused("Write something first.")
    if len(found) > COMMENT_LIMIT:
        raise Refused(f"At most {COMMENT_LIMIT:,} characters; this has {len(found):,}.")
    return found
