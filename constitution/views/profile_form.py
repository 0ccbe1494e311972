"""The page on which a profile is written: made, changed, refused with everything kept, or saved."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from config.http import refuse
from constitution import profiles
from constitution.errors import NotAllowed, Refused
from constitution.forms import Draft, ProfileForm
from constitution.models import Profile, Version
from constitution.people import PersonRequest
from constitution.profile_texts import ProfileRefused, ProfileText
from constitution.profiles import create
from constitution.texts import DIMENSIONS
from constitution.views.profiles import differences, find

TIERS = (("2", "2, contextual: it holds where its scope says"), ("3", "3, style: how an answer sounds"))
EXPECTS = (("decline", "declines"), ("help", "helps"), ("style", "shows the style"))
RELATION_FIELDS = (
    ("refers_to", "Points to", "Ids of clauses that its text speaks of, with commas between them."),
    ("precedes", "Prevails over", "Ids of clauses that give way to it. Never a universal one."),
    ("exclusive_with", "Never together with", "Ids of clauses that must not hold where it does."),
)
Field = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """A form as a person left it: `seen` is the digest it started from, `clash` what somebody else saved meanwhile."""

    form: ProfileForm
    seen: str = ""
    status: int = 200
    added: str = ""
    clash: str = ""
    theirs: ProfileText | None = None
    mine: ProfileText | None = None


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, None, Attempt(ProfileForm.blank()))
    return _take(
        request, None, lambda content: create(content=content, by=request.user), ProfileForm.read(request.POST)
    )


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: PersonRequest, profile: str) -> HttpResponse:
    found = find(profile)
    try:
        profiles.check_can_edit(found, request.user)
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="This profile is not yours", sentence=str(refused))
    if request.method != "POST":
        newest = profiles.newest_revision(found)
        return _page(request, found, Attempt(ProfileForm.of(profiles.text_of(newest)), seen=newest.digest))
    seen = request.POST.get("seen", "")

    def save(content: ProfileText) -> Profile:
        profiles.revise(profile=found, content=content, by=request.user, seen_digest=seen)
        return found

    return _take(request, found, save, ProfileForm.read(request.POST, slug=found.slug))


def _take(
    request: PersonRequest, profile: Profile | None, save: Callable[[ProfileText], Profile], form: ProfileForm
) -> HttpResponse:
    """Add a part, take one away, or save; whatever is refused comes back with all that was typed."""
    seen = request.POST.get("seen", "")
    if place := request.POST.get("add"):
        return _page(request, profile, Attempt(form, seen, added=form.add(place)))
    if place := request.POST.get("remove"):
        form.remove(place)
        return _page(request, profile, Attempt(form, seen))
    content = form.content()
    if content is None:
        return _page(request, profile, Attempt(form, seen, 422))
    try:
        saved = save(content)
    except profiles.ProfileMoved as moved:
        return _page(request, profile, _clash(form, content, profile, str(moved)))
    except ProfileRefused as refused:
        form.refuse(refused)
        return _page(request, profile, Attempt(form, seen, 422))
    except Refused as refused:
        form.errors["" if profile else "slug"] = [str(refused)]
        return _page(request, profile, Attempt(form, seen, refused.status))
    messages.success(request, "Saved.")
    return redirect("constitution:profile-detail", saved.slug)


def _clash(form: ProfileForm, content: ProfileText, profile: Profile | None, sentence: str) -> Attempt:
    """The form goes on from what is saved now, beside what that says: saving again is a decision that was informed."""
    newest = profiles.newest_revision(profile) if profile else None
    theirs = profiles.text_of(newest) if newest else None
    return Attempt(form, newest.digest if newest else "", 409, clash=sentence, theirs=theirs, mine=content)


def _page(request: PersonRequest, profile: Profile | None, attempt: Attempt) -> HttpResponse:
    base = profiles.base_of(profile) if profile else Version.objects.head()
    context = {
        "profile": profile,
        "base": base,
        "seen": attempt.seen,
        "is_unsaved": request.method == "POST",
        "clash": attempt.clash,
        "clash_changes": differences(attempt.theirs, attempt.mine) if attempt.theirs and attempt.mine else None,
        **_Shown(attempt, base).everything(),
    }
    return render(request, "constitution/profile_form_page.html", context, status=attempt.status)


class _Shown:
    """The fields of a form with their labels, values and errors, as includes/field.html shows them."""

    def __init__(self, attempt: Attempt, base: Version | None) -> None:
        self.draft, self.errors, self.added = attempt.form.draft, attempt.form.errors, attempt.added
        clauses = base.texts() if base else []
        self.narrowable = [(each.principle, f"{each.principle} {each.title}") for each in clauses if each.may_narrow]

    def everything(self) -> dict[str, Any]:
        return {
            "errors": self.errors.get("", []),
            "mistakes": [{"place": place or "form", "sentence": each} for place, each in self._mistakes()],
            "slug": self.field("slug", "Short name", self.draft, help="In addresses; it stays. Such as st-mary."),
            "name": self.field("name", "Name", self.draft),
            "context": self.scope("context", self.draft["context"]),
            "clauses": [self.clause(f"clauses-{n}", each) for n, each in enumerate(self.draft["clauses"])],
            "narrowings": [self.narrowing(f"narrowings-{n}", each) for n, each in enumerate(self.draft["narrowings"])],
            "may_narrow": bool(self.narrowable),
        }

    def _mistakes(self) -> Iterator[tuple[str, str]]:
        return ((place, each) for place, sentences in self.errors.items() for each in sentences)

    def field(self, place: str, label: str, draft: Mapping[str, Any], **more: Any) -> Field:
        """`place` ends in the name under which `draft` has the value."""
        name = place.rpartition("-")[2]
        errors = self.errors.get(place, [])
        return {"name": place, "label": label, "value": draft.get(name, ""), "errors": errors, **more}

    def scope(self, place: str, draft: Mapping[str, str]) -> list[Field]:
        return [self.field(f"{place}-{name}", name.capitalize(), draft) for name in DIMENSIONS]

    def clause(self, place: str, draft: Draft) -> dict[str, Any]:
        relations = [self.field(f"{place}-{name}", label, draft, help=text) for name, label, text in RELATION_FIELDS]
        return {
            **self._part(place),
            "principle": self.field(
                f"{place}-principle", "Id", draft, help="Such as W-01.", autofocus=place == self.added
            ),
            "tier": self.field(f"{place}-tier", "Tier", draft, choices=_choices(TIERS, draft["tier"])),
            "title": self.field(f"{place}-title", "Title", draft),
            "text": self.field(f"{place}-text", "Text", draft, is_law=True, rows=5),
            "scope": self.scope(f"{place}-scope", draft["scope"]),
            "relations": relations,
            "relations_open": any(each["value"] or each["errors"] for each in relations),
            "examples": [self.example(f"{place}-examples-{n}", each) for n, each in enumerate(draft["examples"])],
            "examples_place": f"{place}-examples",
        }

    def example(self, place: str, draft: Draft) -> dict[str, Any]:
        return {
            **self._part(place),
            "fields": [
                self.field(f"{place}-request", "Request", draft, rows=2, autofocus=place == self.added),
                self.field(
                    f"{place}-expects", "The right response", draft, choices=_choices(EXPECTS, draft["expects"])
                ),
                self.field(f"{place}-right", "Right", draft, rows=2),
                self.field(f"{place}-wrong", "Wrong", draft, rows=2),
            ],
        }

    def narrowing(self, place: str, draft: Draft) -> dict[str, Any]:
        known = dict(self.narrowable)
        # One that the base does not allow any more stays to be seen, and to be taken away.
        gone = draft["principle"] and draft["principle"] not in known
        choices = [
            *self.narrowable,
            *([(draft["principle"], f"{draft['principle']} (not open to it)")] if gone else []),
        ]
        return {
            **self._part(place),
            "principle": self.field(
                f"{place}-principle",
                "Clause",
                draft,
                choices=_choices(choices, draft["principle"]),
                autofocus=place == self.added,
            ),
            "scope": self.scope(f"{place}-scope", draft["scope"]),
            "scope_place": f"{place}-scope",
            "scope_errors": self.errors.get(f"{place}-scope", []),
            "reason": self.field(f"{place}-reason", "Why", draft, rows=2),
        }

    def _part(self, place: str) -> dict[str, Any]:
        return {"place": place, "number": int(place.rpartition("-")[2]) + 1, "errors": self.errors.get(place, [])}


def _choices(choices: Any, chosen: str) -> list[dict[str, Any]]:
    return [{"value": value, "label": label, "selected": value == chosen} for value, label in choices]
