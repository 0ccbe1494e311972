"""Which constitution a page is about: the one at home here, or, with its slug in the address, an imported one."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse

from constitution.models import Constitution, Version


def find(slug: str) -> Constitution:
    """The constitution of that slug, or the one at home for an empty one; Http404 where there is none."""
    if slug:
        return get_object_or_404(Constitution, slug=slug)
    home = Constitution.objects.filter(is_home=True).first()
    if home is None:
        raise Http404("Nothing has been published yet.")
    return home


def find_version(constitution: Constitution, number: int) -> Version:
    """One of its versions, with who published it; Http404 where there is none."""
    rows = constitution.versions.select_related("constitution", "published_by")
    return get_object_or_404(rows, number=min(number, 2**31 - 1))


def url(constitution: Constitution, name: str, **kwargs: Any) -> str:
    """The address of one of a constitution's pages. Of the one at home it is the short one."""
    if not constitution.is_home:
        kwargs["slug"] = constitution.slug
    return reverse(f"constitution:{name}", kwargs=kwargs)


def compare_url(version: Version) -> str:
    """Where `version` is compared with the one before it."""
    return url(version.constitution, "compare", old=version.number - 1, new=version.number)
