"""Decisions as a feed: what was decided, by whom and why. Nothing of what is still under review."""

import re
from typing import Any

from django.contrib.syndication.views import Feed
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed

from amendments import states
from amendments.models import Amendment
from amendments.views.words import STATE_LABELS, kind_label

SHOWN = 50
# What XML cannot hold; texts of machines may have it.
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class Decisions(Feed):  # type: ignore[type-arg]  # Django has no generic one at run time
    """The newest decisions, those that closed by themselves included."""

    feed_type = Atom1Feed
    title = "Ratify: decisions"
    subtitle = "What became of the proposals to change the constitution."

    def link(self) -> str:
        return f"{reverse('amendments:queue')}?state=decided"

    def items(self) -> list[Amendment]:
        rows = Amendment.objects.decided().select_related("decided_by", "version", "author", "producer")
        return list(rows.order_by("-decided_at", "-pk")[:SHOWN])

    def item_title(self, item: Any) -> str:
        result = f", version {item.version.number}" if item.version else ""
        return f"{STATE_LABELS[item.state]}: {item.principle_id}{result}"

    def item_description(self, item: Any) -> str:
        who = f"Decided by {item.decided_by}." if item.decided_by else "Closed by the system."
        why = item.rationale if item.state == states.ACCEPTED else item.reason
        return NOT_IN_XML.sub("", f"{kind_label(item)}. {who} {why}".strip())

    def item_updateddate(self, item: Any) -> Any:
        return item.decided_at

    def item_guid(self, item: Any) -> str:
        return f"ratify:proposal:{item.pk}"
