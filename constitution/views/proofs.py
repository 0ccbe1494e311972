"""What is proved of a version, over all contexts and all legal profiles."""

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from constitution import profiles
from constitution.proofs import Proof, prove
from constitution.resolution import BASE, Law
from constitution.views import contexts, documents
from constitution.vocabulary import Context, vocabulary


@require_safe
def show(request: HttpRequest, number: int, slug: str = "") -> HttpResponse:
    version = documents.find_version(documents.find(slug), number)
    version_url = documents.url(version.constitution, "version-detail", number=number)
    proofs = _proofs(profiles.law_of(version))
    context = {
        "version": version,
        "version_url": version_url,
        "vocabulary_digest": vocabulary().digest,
        "proofs": [_card(proof, version_url) for proof in proofs],
        "proved_count": sum(proof.holds for proof in proofs),
        "seconds": sum(proof.seconds for proof in proofs),
    }
    return render(request, "constitution/proofs_page.html", context)


@lru_cache(maxsize=64)
def _proofs(law: Law) -> tuple[Proof, ...]:
    """Proved once for each law; `profiles.law_of` gives equal texts the same one."""
    return tuple(prove([entry.clause for entry in law.entries if entry.source == BASE], law.profile, law.known))


def _card(proof: Proof, version_url: str) -> dict[str, Any]:
    found = proof.counterexample
    return {
        "name": proof.name,
        "claim": proof.claim,
        "result": "proved" if proof.holds else "refuted" if proof.is_finished else "unfinished",
        "n": proof.n,
        "milliseconds": proof.seconds * 1000,
        "sentence": "" if proof.holds else proof.sentence,
        "clauses": [{"id": name, "url": f"{version_url}#{name}"} for name in found.clauses] if found else [],
        "context": _spoken(found.context) if found else "",
        "context_url": version_url + contexts.address(found.context) if found and found.context else "",
    }


def _spoken(context: Context) -> str:
    return "; ".join(f"{dimension} {', '.join(values)}" for dimension, values in context.items())
