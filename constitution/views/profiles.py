"""Profiles: the list, what one makes of the constitution, what moved under it, and what it said before."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from config.http import number_in, refuse
from constitution import profiles
from constitution.diffs import changes
from constitution.errors import NotAllowed, Refused
from constitution.models import Profile, ProfileRevision, User, Version
from constitution.people import PersonRequest
from constitution.profile_texts import Narrowing, ProfileText
from constitution.resolution import Resolution, prompt
from constitution.views import contexts, documents
from constitution.views.history.parts import comparison
from constitution.views.rulings import card

PAGE = 30
NEWS_WORDS = {"added": "in force now", "repealed": "no longer in force", "revised": "reworded"}


@require_safe
def index(request: PersonRequest) -> HttpResponse:
    after = request.GET.get("after", "").replace("\x00", "")
    found = list(_rows().filter(slug__gt=after)[: PAGE + 1])
    head = Version.objects.head()
    newest = {each.profile_id: each for each in _newest(found)}
    context = {
        "profiles": [_entry(each, newest[each.pk], head, request.user) for each in found[:PAGE]],
        "more_url": f"?after={found[PAGE - 1].slug}" if len(found) > PAGE else "",
        "head": head,
    }
    return render(request, "constitution/profiles_page.html", context)


@require_safe
def show(request: PersonRequest, profile: str) -> HttpResponse:
    return _page(request, find(profile))


@require_safe
def system_prompt(request: HttpRequest, profile: str) -> HttpResponse:
    """What holds with the profile, in the context of the address or its own, as a system prompt in plain text."""
    found, asked = find(profile), contexts.read(request.GET)
    text = "\n".join(str(unknown) for unknown in asked.wrong.values())
    if not asked.wrong:
        text = prompt(profiles.effective(found, profiles.base_of(found), asked.context))
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=asked.status)


@require_safe
def history(request: HttpRequest, profile: str) -> HttpResponse:
    found = find(profile)
    before = number_in(request.GET.get("before", ""), digits=9)
    rows = found.revisions.select_related("author", "base__constitution").order_by("-number")
    shown = list(rows.filter(number__lt=before) if before else rows)[: PAGE + 1]
    older = [*shown[1:], None]
    context = {
        "profile": found,
        "revisions": [_revision(row, last) for row, last in zip(shown[:PAGE], older, strict=False)],
        "older_url": f"?before={shown[PAGE - 1].number}" if len(shown) > PAGE else "",
    }
    return render(request, "constitution/profile_history_page.html", context)


@require_POST
def follow(request: PersonRequest, profile: str) -> HttpResponse:
    """Pin the profile to the version of that number; without one it follows the head."""
    found = find(profile)
    asked = request.POST.get("number", "").strip()
    version = Version.objects.home().filter(number=number_in(asked, digits=9) or 0).first()
    if asked and version is None:
        return _page(request, found, refusal=f"There is no version “{asked[:20]}” to pin it to.", status=422)
    try:
        profiles.follow(profile=found, pinned_to=version, by=request.user)
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="This profile is not yours", sentence=str(refused))
    except Refused as refused:
        return _page(request, found, refusal=f"It cannot stand on that version. {refused}", status=422)
    messages.success(request, f"Pinned to {version}." if version else "It follows the version in force.")
    return redirect("constitution:profile-detail", found.slug)


@require_POST
def acknowledge(request: PersonRequest, profile: str) -> HttpResponse:
    """The owner has seen what the version of that number changed."""
    found = find(profile)
    base = documents.find_version(documents.find(""), number_in(request.POST.get("number", ""), digits=9) or 0)
    try:
        profiles.acknowledge(profile=found, base=base, by=request.user)
    except Refused as refused:
        return refuse(request, status=refused.status, title="This cannot be noted", sentence=str(refused))
    return redirect("constitution:profile-detail", found.slug)


def find(slug: str) -> Profile:
    """The profile of that short name, with its owner and base; Http404 where there is none."""
    return get_object_or_404(_rows(), slug=slug)


def differences(before: ProfileText | None, after: ProfileText) -> dict[str, Any]:
    """What one wording of a profile has and another has not: its facts, then its clauses word by word."""
    sides = [_facts(before) if before else {}, _facts(after)]
    return {
        "fields": [
            {"label": label, "before": sides[0].get(label, ""), "after": sides[1].get(label, "")}
            for label in dict.fromkeys([*sides[0], *sides[1]])
            if sides[0].get(label) != sides[1].get(label)
        ],
        "clauses": [comparison(change) for change in changes(before.clauses if before else (), after.clauses)],
    }


def _page(request: PersonRequest, profile: Profile, *, refusal: str = "", status: int = 200) -> HttpResponse:
    asked = contexts.read(request.GET)
    base, revision = profiles.base_of(profile), profiles.newest_revision(profile)
    resolution = profiles.effective(profile, base, asked.context)
    is_mine = _may_edit(profile, request.user)
    query = contexts.address(asked.context)
    context = {
        "profile": profile,
        "revision": revision,
        **_standing(base),
        "can_edit": is_mine,
        "refusal": refusal,
        "news": _news(profile) if is_mine and profile.seen.number < base.number else None,
        "context_fields": contexts.fields(asked),
        "context_chosen": bool(asked.context),
        "context_words": contexts.spoken(resolution.context),
        "context_follows": contexts.follows(resolution.context),
        **_effective(resolution),
        "prompt": prompt(resolution),
        "prompt_query": query,
    }
    return render(request, "constitution/profile_page.html", context, status=max(status, asked.status))


def _rows() -> QuerySet[Profile]:
    return Profile.objects.select_related("owner", "pinned_to__constitution", "seen__constitution").order_by("slug")


def _newest(found: list[Profile]) -> QuerySet[ProfileRevision]:
    """The revision of each that holds. One query."""
    return ProfileRevision.objects.filter(profile__in=found).order_by("profile_id", "-number").distinct("profile_id")


def _entry(profile: Profile, revision: ProfileRevision, head: Version | None, user: User) -> dict[str, Any]:
    base = profile.pinned_to or head
    return {
        "slug": profile.slug,
        "name": profile.name,
        "owner": profile.owner,
        "base_number": base.number if base else None,
        "is_pinned": profile.pinned_to_id is not None,
        "context": contexts.spoken(profiles.text_of(revision).context),
        "clause_count": len(revision.content["clauses"]),
        "revision": revision.number,
        "has_news": bool(base and profile.seen.number < base.number and _may_edit(profile, user)),
    }


def _may_edit(profile: Profile, user: User) -> bool:
    try:
        profiles.check_can_edit(profile, user)
    except NotAllowed:
        return False
    return True


def _standing(base: Version) -> dict[str, Any]:
    """What a profile stands on, and how far the version in force has gone from there."""
    head = Version.objects.head()
    newer = head if head and head.number > base.number else None
    return {
        "base": base,
        "base_url": documents.url(base.constitution, "version-detail", number=base.number),
        "newer_number": newer.number if newer else None,
        "newer_url": documents.url(base.constitution, "compare", old=base.number, new=newer.number) if newer else "",
    }


def _effective(resolution: Resolution) -> dict[str, Any]:
    """The clauses in force in their order, then those that are not, in that of the document."""
    rulings = {ruling.id: ruling for ruling in resolution.explain()}
    held = [each.id for each in resolution.clauses]
    return {
        "held": [card(rulings[name], rulings) for name in held],
        "out": [card(ruling, rulings) for ruling in rulings.values() if not ruling.in_force],
    }


def _news(profile: Profile) -> dict[str, Any]:
    news = profiles.changes_for_owner(profile)
    return {
        "seen": news.seen,
        "base": news.base,
        "compare_url": documents.url(news.base.constitution, "compare", old=news.seen.number, new=news.base.number),
        "changes": [{**comparison(change), "kind_label": NEWS_WORDS[change.kind]} for change in news.changes],
        "dropped": [{"principle": each.principle, "scope": contexts.spoken(each.scope)} for each in news.dropped],
        "problems": news.problems,
    }


def _revision(row: ProfileRevision, before: ProfileRevision | None) -> dict[str, Any]:
    return {
        "number": row.number,
        "author": row.author,
        "created_at": row.created_at,
        "digest": row.digest,
        "base_number": row.base.number,
        "base_url": documents.url(row.base.constitution, "version-detail", number=row.base.number),
        **differences(profiles.text_of(before) if before else None, profiles.text_of(row)),
    }


def _facts(text: ProfileText) -> dict[str, str]:
    narrowings = {f"{each.principle} narrowed to": _narrowed(each) for each in text.narrowings}
    return {"Name": text.name, "Context": contexts.spoken(text.context), **narrowings}


def _narrowed(narrowing: Narrowing) -> str:
    return f"{contexts.spoken(narrowing.scope)} ({narrowing.reason})"
