"""Filters that somebody keeps under a name. A person's own shelf: no act of law, so the ledger says nothing of it."""

from django.db import transaction

from amendments.models import SavedView
from constitution.errors import Refused
from constitution.models import User
from constitution.texts import written

MOST = 12  # as many fit above a list


@transaction.atomic
def keep(*, name: str, query: str, by: User) -> SavedView:
    """Keep `query` under `name`; one of that name is replaced. Raises Refused for no name, or for one too many."""
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    wanted = _checked(name)
    if not query:
        raise Refused("There is nothing to save: choose a filter first.")
    others = by.saved_views.exclude(name=wanted).count()
    if others >= MOST:
        raise Refused(f"You have {MOST} saved views. Remove one, then save this.")
    view, _ = SavedView.objects.update_or_create(owner=by, name=wanted, defaults={"query": query[:1000]})
    return view


@transaction.atomic
def rename(*, view: SavedView, name: str, by: User) -> SavedView:
    """Raises Refused where another view of theirs has the name."""
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    wanted = _checked(name)
    if by.saved_views.exclude(pk=view.pk).filter(name=wanted).exists():
        raise Refused(f"You have another view called {wanted}.")
    view.name = wanted
    view.save(update_fields=["name"])
    return view


@transaction.atomic
def remove(*, view: SavedView, by: User) -> None:
    by.saved_views.filter(pk=view.pk).delete()


def _checked(name: str) -> str:
    wanted = " ".join(written(name).split())
    if not wanted:
        raise Refused("Give it a name.")
    return wanted[:60]
