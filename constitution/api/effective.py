"""Which clauses hold in a context: as JSON, or as a system prompt that is ready to use."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from ninja import Query, Router, Schema
from pydantic import Field

from constitution.api import values
from constitution.api.frame import entity_tag
from constitution.api.gate import READER, used
from constitution.api.problems import Problem
from constitution.api.seeking import seek
from constitution.api.values import Slug, Words
from constitution.digests import digest
from constitution.models import Version
from constitution.profiles import law_of
from constitution.resolution import Held, Law, Resolution, prompt
from constitution.texts import DIMENSIONS
from constitution.vocabulary import facts, read_context

router = Router()

JSON, TEXT = "application/json", "text/plain"
PLAIN: dict[str, Any] = {TEXT: {"schema": {"type": "string"}}}


class Question(Schema):
    """A deployment. A dimension that is not named is the profile's own, or open."""

    region: Words = Field([], description="ISO 3166 or UN M49: `FR`, `US-CA`, `EU`. Repeat it for several.")
    industry: Words = Field([], description="ISIC Rev. 4: `healthcare`, `Q`, `86`. Repeat it for several.")
    regulation: Words = Field([], description="`GDPR`, `HIPAA`; many follow from the region. Repeat it for several.")
    audience: Words = Field([], description="`minors`, `patients`. Repeat it for several.")
    profile: str = Field("", pattern=r"^([a-z][a-z0-9-]{1,39})?$", description="The slug of a profile of yours.")
    version: str = Field(
        "",
        pattern=values.VERSION.replace("^(", "^(|"),
        description=f"{values.NAMES_OF_A_VERSION} Left out: the version that the profile is pinned to, or the head.",
    )
    explain: bool = Field(False, description="Add a ruling, with its reason, for every clause there is (JSON only).")


Asked = Annotated[Question, Query()]


@router.get(
    "/constitutions/{slug}/effective",
    response=values.Effective,
    url_name="effective",
    auth=READER,
    tags=["Contexts"],
    openapi_extra={"responses": {200: {"content": PLAIN}}},
)
def effective(request: HttpRequest, slug: Slug, asked: Asked) -> HttpResponse:
    """What holds in a deployment. With `Accept: text/plain` it comes as a system prompt."""
    kind = request.get_preferred_type([JSON, TEXT])
    if kind is None:
        raise Problem("format", "An effective constitution comes as application/json or as text/plain.")
    return _answer(request, slug, asked, kind)


@router.get(
    "/constitutions/{slug}/effective.txt",
    response={200: None},
    url_name="effective-text",
    auth=READER,
    tags=["Contexts"],
    openapi_extra={"responses": {200: {"content": PLAIN}}},
)
def effective_text(request: HttpRequest, slug: Slug, asked: Asked) -> HttpResponse:
    """What holds in a deployment, as a system prompt in plain text whatever is accepted."""
    return _answer(request, slug, asked, TEXT)


def _answer(request: HttpRequest, slug: str, asked: Question, kind: str) -> HttpResponse:
    context = read_context({name: words for name in DIMENSIONS if (words := getattr(asked, name))})
    version, revision = seek(slug, asked.version, asked.profile, used(request))
    law = law_of(version, revision)
    found = law.resolve(law.profile.fill(context) if law.profile else context)
    tag = entity_tag(digest([found.digest, slug, version.number, kind, asked.explain]))
    answer = get_conditional_response(request, etag=tag)
    if answer is None:
        body = prompt(found).encode() if kind == TEXT else _body(found, slug, version, asked.explain)
        answer = HttpResponse(body, content_type=f"{kind}; charset=utf-8")
    answer["ETag"] = tag
    return answer


def _body(found: Resolution, slug: str, version: Version, is_explained: bool) -> bytes:
    head = json.dumps(_head(found, slug, version, is_explained), ensure_ascii=False).encode()
    fragments = _fragments(found.law)
    # Each clause was written out once, when its law was first asked: most of an answer is joined, not made.
    return head[:-1] + b', "clauses": [' + b", ".join([fragments[held.id] for held in found.clauses]) + b"]}"


def _head(found: Resolution, slug: str, version: Version, is_explained: bool) -> dict[str, Any]:
    profile = found.law.profile
    return {
        "constitution": slug,
        "version": version.number,
        "version_digest": version.digest,
        "profile": profile.slug if profile else None,
        "profile_digest": profile.digest if profile else None,
        "context": found.context,
        "digest": found.digest,
        **(_explanation(found) if is_explained else {"facts": None, "rulings": None}),
    }


def _explanation(found: Resolution) -> dict[str, Any]:
    rulings = [
        {
            "id": ruling.id,
            "source": ruling.source,
            "tier": ruling.clause.tier,
            "title": ruling.clause.title,
            "in_force": ruling.in_force,
            "reason": ruling.reason,
            "gives_way_to": ruling.gives_way_to,
            "narrowed_by": ruling.narrowed_by,
        }
        for ruling in found.explain()
    ]
    return {"facts": facts(found.context, found.law.known), "rulings": rulings}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A clause under all that its fragment says, so that laws with the same clause share it."""

    key: tuple[str, str, str]
    held: Held = field(compare=False)


@lru_cache(maxsize=1024)
def _fragments(law: Law) -> dict[str, bytes]:
    """Each clause of a law as JSON, by its id in results."""
    return {held.id: _fragment(_Entry((held.id, held.source, held.clause.digest), held)) for held in law.entries}


@lru_cache(maxsize=20_000)
def _fragment(entry: _Entry) -> bytes:
    name, clause, source = entry.held
    content = {"id": name, "principle": clause.principle, "source": source, "tier": clause.tier}
    content |= {"title": clause.title, "text": clause.text, "digest": clause.digest}
    return json.dumps(content, ensure_ascii=False).encode()
