"""Profiles: the caller's own, read, made, replaced, pinned and let go. Other people's do not exist here."""

from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from ninja import Query, Router, Status

from constitution import profiles
from constitution.api import values
from constitution.api.frame import entity_tag
from constitution.api.gate import READER, WRITER, used
from constitution.api.lookups import page
from constitution.api.problems import Problem, missing
from constitution.api.reading import AfterSlug, clause_value
from constitution.api.values import LARGEST, PAGE, Limit, ProfileSlug
from constitution.digests import digest
from constitution.models import Profile, ProfileRevision, User, Version
from constitution.profile_texts import ProfileText

router = Router(tags=["Profiles"])

Pin = Annotated[int | None, Query(ge=1, le=LARGEST, description="The version to pin it to; left out: follow the head.")]
IF_MATCH: dict[str, Any] = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": True,
            "description": "The ETag of what you read, or `*` for whatever is there.",
            "schema": {"type": "string", "pattern": r'^(\*|"[0-9a-f]{64}")$'},
        }
    ]
}


@router.get("/profiles", response=values.Page[values.ProfileLine], url_name="profiles", auth=READER)
def list_profiles(request: HttpRequest, after: AfterSlug = "", limit: Limit = PAGE) -> dict[str, Any]:
    """Your profiles by name."""
    rows = _own(request).filter(profile__slug__gt=after).order_by("profile__slug", "-number").distinct("profile__slug")
    return page(request, rows, limit, lambda row: row.profile.slug, _line)


@router.post("/profiles", response={201: values.Profile}, url_name="profiles", auth=WRITER)
def create_profile(
    request: HttpRequest, response: HttpResponse, content: ProfileText, pinned_to: Pin = None
) -> Status[dict[str, Any]]:
    """Make a profile. What a profile may not say is refused, with a sentence for each place."""
    profile = profiles.create(content=content, by=_caller(request), pinned_to=_pin(pinned_to))
    response["Location"] = f"/api/v1/profiles/{profile.slug}"
    return Status(201, _shown(response, _find(request, profile.slug)))


@router.get("/profiles/{slug}", response=values.Profile, url_name="profile", auth=READER)
def show_profile(request: HttpRequest, response: HttpResponse, slug: ProfileSlug) -> dict[str, Any]:
    """What a profile says now. Its ETag is what a change asks for."""
    return _shown(response, _find(request, slug))


@router.put("/profiles/{slug}", response=values.Profile, url_name="profile", auth=WRITER, openapi_extra=IF_MATCH)
def replace_profile(
    request: HttpRequest, response: HttpResponse, slug: ProfileSlug, content: ProfileText
) -> dict[str, Any]:
    """Replace what a profile says. Earlier revisions are kept."""
    with transaction.atomic():
        seen = _lock(request, slug)
        profiles.revise(profile=seen.profile, content=content, by=_caller(request), seen_digest=seen.digest)
    return _shown(response, _find(request, slug))


@router.put(
    "/profiles/{slug}/base", response=values.Profile, url_name="profile-base", auth=WRITER, openapi_extra=IF_MATCH
)
def set_base(request: HttpRequest, response: HttpResponse, slug: ProfileSlug, base: values.Base) -> dict[str, Any]:
    """Pin a profile to a version, or let it follow the head."""
    with transaction.atomic():
        seen = _lock(request, slug)
        profiles.follow(profile=seen.profile, pinned_to=_pin(base.pinned_to), by=_caller(request))
    return _shown(response, _find(request, slug))


def _caller(request: HttpRequest) -> User:
    return User.objects.get(pk=used(request).owner)


def _own(request: HttpRequest) -> Any:
    """Revisions of the caller's profiles, with all that is shown of them."""
    rows = ProfileRevision.objects.filter(profile__owner=used(request).owner)
    return rows.select_related("profile__pinned_to__constitution", "base", "author")


def _find(request: HttpRequest, slug: str) -> ProfileRevision:
    found: ProfileRevision | None = _own(request).filter(profile__slug=slug).order_by("-number").first()
    if found is None:
        raise missing(f"You have no profile named {slug}. /api/v1/profiles lists yours.")
    return found


def _pin(number: int | None) -> Version | None:
    if number is None:
        return None
    found = Version.objects.home().select_related("constitution").filter(number=number).first()
    if found is None:
        raise Problem("refused", f"There is no version {number} to pin to.", reasons=[f"There is no version {number}."])
    return found


def _lock(request: HttpRequest, slug: str) -> ProfileRevision:
    """What the profile says now, where that is what the caller has read; nobody changes it before the transaction ends.

    Raises Problem.
    """
    asked = parse_etags(request.headers.get("If-Match", ""))
    # Before anything of it is read: of two with the same ETag the second finds what the first has made of it.
    Profile.objects.select_for_update().filter(owner=used(request).owner, slug=slug).first()
    current = _find(request, slug)
    if not asked:
        raise Problem("unconditional", "Send If-Match with the ETag of the profile as you read it.")
    if _tag(current) not in asked and asked != ["*"]:
        raise _moved(current)
    return current


def _moved(current: ProfileRevision) -> Problem:
    sentence = (
        f"{current.author} saved revision {current.number} since, or it stands on another version. Read it again."
    )
    return Problem("changed", sentence, headers={"ETag": _tag(current)})


def _tag(row: ProfileRevision) -> str:
    pinned = row.profile.pinned_to
    return entity_tag(digest([row.digest, row.number, pinned.number if pinned else None]))


def _shown(response: HttpResponse, row: ProfileRevision) -> dict[str, Any]:
    response["ETag"] = _tag(row)
    text = profiles.text_of(row)
    return {
        **_line(row),
        "clauses": [clause_value(clause) for clause in text.clauses],
        "narrowings": [narrowing.model_dump(mode="json") for narrowing in text.narrowings],
        "context": text.context,
        "checked_against": row.base.number,
        "saved_at": row.created_at,
        "saved_by": str(row.author),
    }


def _line(row: ProfileRevision) -> dict[str, Any]:
    pinned = row.profile.pinned_to
    return {
        "slug": row.profile.slug,
        "name": row.profile.name,
        "pinned_to": pinned.number if pinned else None,
        "revision": row.number,
        "digest": row.digest,
    }
