"""What can be done to a profile, and what holds with it.

A profile is an organisation's layer on the constitution at home. It follows the head or is pinned to a version; what it
says is in its revisions, each checked against the base that it stood on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.db import transaction

from constitution import ledger
from constitution.diffs import Change, changes
from constitution.errors import NotAllowed, Refused
from constitution.models import Profile, ProfileRevision, Role, User, Version
from constitution.profile_texts import Narrowing, ProfileRefused, ProfileText, check_profile
from constitution.resolution import Law, Resolution, compile_law
from constitution.texts import ClauseText
from constitution.vocabulary import RawContext, read_context


class ProfileMoved(Refused):
    """Somebody revised the profile since the text that was changed was read."""


@dataclass(frozen=True)
class News:
    """What became different for a profile, in its default context, since its owner last looked.

    `changes` are the clauses that came into force, went out of it or were reworded; `dropped` the narrowings that the
    base allowed and allows no longer; `problems` what the profile says that its base would refuse today.
    """

    seen: Version
    base: Version
    changes: tuple[Change, ...]
    dropped: tuple[Narrowing, ...]
    problems: tuple[str, ...]


def check_can_create(by: User) -> None:
    """Anyone with a role; raises NotAllowed."""
    if not by.has_role(*Role):
        raise NotAllowed("Profiles are made by people with a role. An operator can give you one.")


def check_can_edit(profile: Profile, by: User) -> None:
    """Its owner, while they have a role, and operators; raises NotAllowed."""
    is_owner = by.pk == profile.owner_id and by.has_role(*Role)
    if not is_owner and not by.has_role(Role.OPERATOR):
        raise NotAllowed(f"Only {profile.owner}, who owns this profile, and operators can change it.")


@transaction.atomic
def create(*, content: ProfileText, by: User, pinned_to: Version | None = None) -> Profile:
    """Make a profile that says `content`, of that slug and name. It follows the head unless it is pinned.

    Raises NotAllowed, Refused where the slug is taken, and ProfileRefused for what `content` may not say.
    """
    check_can_create(by)
    base = _base(pinned_to)
    check_profile(content, base.texts())
    defaults = {"name": content.name, "owner": by, "pinned_to": pinned_to, "seen": base}
    # Not a look and then a write: two people may take the same slug in the same moment.
    profile, is_new = Profile.objects.get_or_create(slug=content.slug, defaults=defaults)
    if not is_new:
        raise Refused(f"There is already a profile named {content.slug}. Choose another short name.")
    revision = _write(profile, content, base, by, number=1)
    _note("profile created", profile, by, {"digest": revision.digest, "base": base.number, "pinned": bool(pinned_to)})
    return profile


@transaction.atomic
def revise(*, profile: Profile, content: ProfileText, by: User, seen_digest: str) -> ProfileRevision:
    """Make `content` what the profile says. `seen_digest` is that of the revision that was changed.

    Saving what it says already writes nothing. Raises NotAllowed, ProfileMoved where another revision came between,
    and ProfileRefused for what `content` may not say.
    """
    locked = _lock(profile, by)
    newest = newest_revision(locked)
    if newest.digest == content.digest:
        return newest
    if newest.digest != seen_digest:
        raise ProfileMoved(
            f"{newest.author} saved revision {newest.number} of this profile while you were writing. "
            "Nothing of yours is lost: compare, then save again."
        )
    if content.slug != locked.slug:
        raise ProfileRefused([f"The short name of a profile stays: this one is {locked.slug}."])
    base = base_of(locked)
    check_profile(content, base.texts())
    locked.name = profile.name = content.name
    locked.save(update_fields=["name"])
    revision = _write(locked, content, base, by, number=newest.number + 1)
    detail = {"revision": revision.number, "digest": revision.digest, "base": base.number}
    _note("profile revised", locked, by, detail)
    return revision


@transaction.atomic
def follow(*, profile: Profile, pinned_to: Version | None, by: User) -> Profile:
    """Pin the profile to a version, or let it follow the head (None).

    Who pins has chosen that text, so there is no news of it; who lets go is told what changed since. Raises NotAllowed,
    and ProfileRefused where that base would not take what the profile says.
    """
    locked = _lock(profile, by)
    base = _base(pinned_to)
    check_profile(text_of(newest_revision(locked)), base.texts())
    locked.pinned_to = pinned_to
    locked.seen = pinned_to or locked.seen
    locked.save(update_fields=["pinned_to", "seen"])
    _note("profile pinned" if pinned_to else "profile follows the head", locked, by, {"base": base.number})
    return locked


@transaction.atomic
def acknowledge(*, profile: Profile, base: Version, by: User) -> Profile:
    """The owner has seen what `base` changed for them; what came later stays news. Raises NotAllowed and Refused."""
    locked = _lock(profile, by)
    if not base.constitution.is_home or base.number > base_of(locked).number:
        raise Refused(f"This profile does not stand on {base}.")
    if base.number > locked.seen.number:
        locked.seen = base
        locked.save(update_fields=["seen"])
        _note("profile changes seen", locked, by, {"base": base.number})
    return locked


def newest_revision(profile: Profile) -> ProfileRevision:
    """What the profile says now."""
    return profile.revisions.select_related("author", "base").order_by("-number")[0]


def text_of(revision: ProfileRevision) -> ProfileText:
    """A revision as a value."""
    return ProfileText.model_validate(revision.content)


def base_of(profile: Profile) -> Version:
    """The version that the profile stands on: the one it is pinned to, or the head."""
    return profile.pinned_to or _base(None)


def law_of(version: Version, revision: ProfileRevision | None = None) -> Law:
    """The clauses of a version, with a profile's, compiled. Kept by content: equal digests are one law."""
    return _compile(_Source((version.digest, revision.digest if revision else ""), version, revision))


def effective(profile: Profile | None, version: Version, context: RawContext) -> Resolution:
    """What holds in `context`, as people write it, on `version`; the profile fills the dimensions it does not name.

    Raises UnknownContext.
    """
    law = law_of(version, newest_revision(profile) if profile else None)
    asked = read_context(context)
    return law.resolve(law.profile.fill(asked) if law.profile else asked)


def changes_for_owner(profile: Profile) -> News:
    """What the base's moves since `seen` mean for the profile as it is now."""
    revision, base = newest_revision(profile), base_of(profile)
    text = text_of(revision)
    before, after = (law_of(version, revision) for version in (profile.seen, base))
    held = [[each.clause for each in law.resolve(text.context).clauses] for law in (before, after)]
    dropped = (each for each in text.narrowings if each.principle in before.narrowings.keys() - after.narrowings.keys())
    return News(profile.seen, base, tuple(changes(*held)), tuple(dropped), _problems(text, base.texts()))


@dataclass(frozen=True)
class _Source:
    """Rows under the digests of what they say, so that a cache neither reads twice nor mistakes one for another."""

    digests: tuple[str, str]
    version: Version = field(compare=False)
    revision: ProfileRevision | None = field(compare=False)


@lru_cache(maxsize=1024)
def _compile(source: _Source) -> Law:
    return compile_law(source.version.texts(), text_of(source.revision) if source.revision else None)


def _base(pinned_to: Version | None) -> Version:
    base = pinned_to or Version.objects.head()
    if base is None:
        raise Refused("A profile is a layer on a constitution, and none has been published yet.")
    if not base.constitution.is_home:
        raise Refused("A profile is a layer on the constitution that is at home here, not on an imported one.")
    return base


def _problems(text: ProfileText, clauses: Sequence[ClauseText]) -> tuple[str, ...]:
    try:
        check_profile(text, clauses)
    except ProfileRefused as refused:
        return refused.sentences
    return ()


def _lock(profile: Profile, by: User) -> Profile:
    """The profile's row as it is now, kept for this transaction."""
    locked = Profile.objects.select_for_update().get(pk=profile.pk)
    check_can_edit(locked, by)
    return locked


def _write(profile: Profile, content: ProfileText, base: Version, by: User, *, number: int) -> ProfileRevision:
    return ProfileRevision.objects.create(
        profile=profile,
        number=number,
        content=content.model_dump(mode="json"),
        digest=content.digest,
        base=base,
        author=by,
    )


def _note(action: str, profile: Profile, by: User, detail: dict[str, object]) -> None:
    ledger.append(action=action, by=by, subject=f"profile:{profile.slug}", detail=detail)
