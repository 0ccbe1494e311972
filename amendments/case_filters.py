"""Which edge cases a list shows: filters in its address, two orders, pages by key and counts that stay cheap."""

from collections.abc import Mapping
from typing import Any

import django_filters
from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, OuterRef, Q

from amendments.models import CaseMark, EdgeCase, EdgeCaseQuerySet, Label, MarkKind, Producer, Signal
from amendments.models.cases import left_out
from config.http import number_in
from constitution.models import User, Version

PAGE = 25
COUNTED = 1000
ORDERS = (("newest", "Newest first"), ("strongest", "Strongest first"))
UNMARKED, LEFT_OUT = "none", "left-out"
MARKS = ((UNMARKED, "Not marked"), *MarkKind.choices, (LEFT_OUT, "Left out as noise"))


class CaseFilter(django_filters.FilterSet):  # type: ignore[misc]  # the package has no types
    """The filters of the list. What an address says that no filter understands is ignored, and said in `errors`."""

    q = django_filters.CharFilter(method="by_words", label="Words", max_length=200)
    signal = django_filters.ChoiceFilter(choices=Signal.choices, label="Signal", empty_label="Any")
    mark = django_filters.ChoiceFilter(choices=MARKS, method="by_mark", label="Mark", empty_label="Any")
    principle = django_filters.CharFilter(field_name="principle_id", label="Clause", max_length=80)
    cluster = django_filters.NumberFilter(field_name="cluster_id", label="Cluster")
    version = django_filters.NumberFilter(method="by_version", label="Version")
    label = django_filters.ChoiceFilter(
        choices=Label.choices, field_name="scenario__label", label="Request", empty_label="Any"
    )
    producer = django_filters.ModelChoiceFilter(
        queryset=Producer.objects.order_by("-pk"), label="Model", empty_label="Any"
    )
    person = django_filters.CharFilter(method="by_person", label="Person", max_length=150)

    class Meta:
        model = EdgeCase
        fields: list[str] = []

    def by_words(self, rows: EdgeCaseQuerySet, _: str, value: str) -> EdgeCaseQuerySet:
        return rows.filter(found_by=SearchQuery(value, config="english", search_type="websearch"))

    def by_mark(self, rows: EdgeCaseQuerySet, _: str, value: str) -> EdgeCaseQuerySet:
        if value == LEFT_OUT:
            return rows.filter(pk__in=left_out())
        if value == UNMARKED:
            return rows.filter(~Exists(CaseMark.objects.filter(case=OuterRef("pk"))))
        return rows.filter(pk__in=CaseMark.objects.filter(kind=value).values("case"))

    # The key is looked up first, so that the index that begins with it is used.
    def by_version(self, rows: EdgeCaseQuerySet, _: str, value: int) -> EdgeCaseQuerySet:
        found = Version.objects.filter(number=value, constitution__is_home=True).values_list("pk", flat=True).first()
        return rows.filter(version_id=found) if found else rows.none()

    def by_person(self, rows: EdgeCaseQuerySet, _: str, value: str) -> EdgeCaseQuerySet:
        found = User.objects.filter(username=value).values_list("pk", flat=True).first()
        return rows.filter(author_id=found) if found else rows.none()


def order_in(query: Mapping[str, Any]) -> str:
    """The order that an address asks for; the first one where it asks for none that there is."""
    asked = query.get("order")
    return asked if asked in dict(ORDERS) else ORDERS[0][0]


def page_of(rows: EdgeCaseQuerySet, *, order: str, after: str, size: int = PAGE) -> tuple[list[EdgeCase], str]:
    """The page after a key, and the key that the next one goes on from: empty on the last page.

    A key that somebody made up gives the first page.
    """
    if order == "strongest":
        rows = _below(rows, after).strongest_first()
    else:
        pk = number_in(after)
        rows = rows.filter(pk__lt=pk) if pk else rows
        rows = rows.order_by("-pk")
    found = list(rows[: size + 1])
    shown = found[:size]
    if len(found) <= size:
        return shown, ""
    return shown, f"{shown[-1].score!r}~{shown[-1].pk}" if order == "strongest" else str(shown[-1].pk)


def count_of(rows: EdgeCaseQuerySet) -> tuple[int, bool]:
    """How many there are, and whether that is exact: up to a thousand they are counted."""
    found = rows.order_by()[: COUNTED + 1].count()
    return min(found, COUNTED), found <= COUNTED


def few_or_many(rows: EdgeCaseQuerySet) -> tuple[EdgeCaseQuerySet, int, bool]:
    """The same rows in a form that is quick to order, with their count as `count_of` gives it.

    Where filters leave few, these are fetched first: a walk along the order would look at a million to find none.
    """
    keys = list(rows.order_by().values_list("pk", flat=True)[: COUNTED + 1])
    if len(keys) > COUNTED:
        return rows, COUNTED, False
    return EdgeCase.objects.filter(pk__in=keys), len(keys), True


def _below(rows: EdgeCaseQuerySet, after: str) -> EdgeCaseQuerySet:
    score, _, raw = after.rpartition("~")
    try:
        place = float(score)
    except ValueError:
        return rows
    pk = number_in(raw)
    if not pk or not 0 <= place <= 1:
        return rows
    return rows.filter(score__lte=place).exclude(Q(score=place) & Q(pk__gte=pk))
