"""What is proved of a version over all contexts and all legal profiles, or of a profile on the version it stands on."""

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from constitution import profiles
from constitution.proofs import Proof, prove
from constitution.resolution import BASE, Law
from constitution.views import contexts, documents
from constitution.views.profiles import find
from constitution.vocabulary import vocabulary


@require_safe
def show(request: HttpRequest, number: int, slug: str = "") -> HttpResponse:
    version = documents.find_version(documents.find(slug), number)
    url = documents.url(version.constitution, "version-detail", number=number)
    context = {"subject": f"{version.title}, version {number}", **_proved(profiles.law_of(version), url)}
    return render(request, "constitution/proofs_page.html", context)


@require_safe
def of_profile(request: HttpRequest, profile: str) -> HttpResponse:
    found = find(profile)
    law = profiles.law_of(profiles.base_of(found), profiles.newest_revision(found))
    url = reverse("constitution:profile-detail", args=[found.slug])
    context = {"subject": found.name, "is_profile": True, **_proved(law, url)}
    return render(request, "constitution/proofs_page.html", context)


@lru_cache(maxsize=64)
def _proofs(law: Law) -> tuple[Proof, ...]:
    """Proved once for each law; `profiles.law_of` gives equal texts the same one."""
    return tuple(prove([entry.clause for entry in law.entries if entry.source == BASE], law.profile, law.known))


def _proved(law: Law, url: str) -> dict[str, Any]:
    """The proofs, with links into the page of the law at `url`."""
    proofs = _proofs(law)
    return {
        "subject_url": url,
        "law_digest": law.digest,
        "vocabulary_digest": vocabulary().digest,
        "proofs": [_card(proof, url) for proof in proofs],
        "proved_count": sum(proof.holds for proof in proofs),
        "seconds": sum(proof.seconds for proof in proofs),
    }


def _card(proof: Proof, url: str) -> dict[str, Any]:
    found = proof.counterexample
    return {
        "name": proof.name,
        "claim": proof.claim,
        "result": "proved" if proof.holds else "refuted" if proof.is_finished else "unfinished",
        "n": proof.n,
        "milliseconds": proof.seconds * 1000,
        "sentence": "" if proof.holds else proof.sentence,
        "clauses": [{"id": name, "url": f"{url}#{name}"} for name in found.clauses] if found else [],
        "context": contexts.spoken(found.context) if found else "",
        "context_url": url + contexts.address(found.context) if found and found.context else "",
    }
