"""What the pages of the history share: the way between them, and one change as it is shown."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import Exists, F, OuterRef

from constitution.diffs import Change, fold, redline
from constitution.models import Constitution, Version, VersionClause
from constitution.texts import ClauseText
from constitution.views import documents

PAGES = (("history", "Timeline"), ("compare-choose", "Compare"), ("search", "Search"), ("bisect", "Bisect"))
FEW = 4  # examples that are shown without being asked for
RELATION_LABELS = (("refers_to", "Refers to"), ("precedes", "Prevails over"), ("exclusive_with", "Excludes"))


class Line(NamedTuple):
    """What a version did to one principle."""

    principle: str
    title: str
    tier: int
    kind_label: str


def tabs(constitution: Constitution, here: str) -> list[dict[str, Any]]:
    """The pages of this constitution's history; `here` names the one that is shown, if it is one of them."""
    return [
        {"label": label, "url": documents.url(constitution, name), "is_here": name == here} for name, label in PAGES
    ]


def lines_of(versions: Iterable[Version]) -> dict[int, list[Line]]:
    """By key of the version, what each did: first what came or was reworded, in its order, then what went."""
    lines: dict[int, list[Line]] = {version.pk: [] for version in versions}
    fields = ("principle", "clause__title", "clause__tier")
    before = VersionClause.objects.filter(version=OuterRef("version__parent"), principle=OuterRef("principle"))
    came = VersionClause.objects.filter(version__in=lines, since=F("version__number")).order_by("version", "position")
    rows = came.annotate(was_there=Exists(before)).values_list("version", *fields, "was_there")
    for pk, principle, title, tier, was_there in rows:
        lines[pk].append(Line(principle, title, tier, "revised" if was_there else "added"))
    after = VersionClause.objects.filter(version=OuterRef("version__child"), principle=OuterRef("principle"))
    went = VersionClause.objects.filter(~Exists(after), version__child__in=lines).order_by("version", "position")
    for pk, principle, title, tier in went.values_list("version__child", *fields):
        lines[pk].append(Line(principle, title, tier, "repealed"))
    return lines


def comparison(change: Change) -> dict[str, Any]:
    """One change, as includes/comparison.html shows it."""
    before, after = change.before, change.after
    shown = after or before
    assert shown is not None  # noqa: S101  a change has a side
    return {
        "principle": change.principle,
        "title": shown.title,
        "tier": shown.tier,
        "kind_label": change.kind,
        "was": before.principle if before and after and before.principle != after.principle else "",
        "redline": fold(redline(before.text if before else "", after.text if after else "")),
        "is_same_text": bool(before and after and before.text.split() == after.text.split()),
        "fields": _fields(before, after) if before and after else [],
        "examples": _examples(before, after),
    }


def _fields(before: ClauseText, after: ClauseText) -> list[dict[str, str]]:
    pairs = [
        ("Title", before.title, after.title),
        ("Tier", str(before.tier), str(after.tier)),
        ("Scope", _scope(before), _scope(after)),
        *(
            (label, ", ".join(getattr(before, name)), ", ".join(getattr(after, name)))
            for name, label in RELATION_LABELS
        ),
        ("Profiles", _narrowing(before), _narrowing(after)),
    ]
    return [{"label": label, "before": old, "after": new} for label, old, new in pairs if old != new]


def _scope(clause: ClauseText) -> str:
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in clause.scope.items()) or "everywhere"


def _narrowing(clause: ClauseText) -> str:
    return "may narrow it" if clause.may_narrow else "may not narrow it"


def _examples(before: ClauseText | None, after: ClauseText | None) -> list[dict[str, Any]]:
    """Those that came and those that went; a first wording just has them."""
    old, new = (side.examples if side else () for side in (before, after))
    groups = (
        ("added" if before else "", [example for example in new if example not in old]),
        ("removed", [example for example in old if example not in new]),
    )
    return [{"verb": verb, "examples": found, "is_short": len(found) <= FEW} for verb, found in groups if found]
