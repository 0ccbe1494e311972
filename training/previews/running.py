"""Measuring an impact preview. It may be killed at any moment: what was read is not read again, nor finished twice."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from amendments import previews
from amendments.models import Amendment, Preview, PreviewItem, Revision
from amendments.operations import apply
from amendments.previews import BATTERIES, ESSENTIAL
from config.live import publish as announce
from constitution.errors import Refused
from constitution.texts import ClauseText
from training import judging, leases
from training.errors import StageFailed
from training.models import MAX_UNSCORED, PreviewRun
from training.previews import asking, conflicts
from training.previews.battery import Laws, Request, Shown, absent, clauses_for, draw

MOST_SHARING = 10  # proposals of the same content

Tell = Callable[[str], None]
# By arm: answer, verdict, probability, margin, reason; as plain values.
Heard = Mapping[str, Mapping[str, Any]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the clauses that it is read under before and after; None for none."""

    request: str
    before: ClauseText | None
    after: ClauseText | None


@dataclass(frozen=True, slots=True)
class Engine:
    """What the gpu worker lends. `measure` yields what was heard batch by batch, in the order of what was asked;
    `summarise` gives the figures of (components, what was heard) by component; `lean` and `conflicts`
    are what `conflicts.measure` asks for."""

    model_digest: str
    device: str
    prompts: str
    judge: str
    shown: Shown
    tokens: Callable[[str], int]
    measure: Callable[[Sequence[Asked], int], Iterator[list[Heard]]]
    summarise: Callable[[Sequence[tuple[tuple[str, ...], Heard]], int], list[dict[str, Any]]]
    lean: conflicts.Lean
    conflicts: Callable[[Sequence[conflicts.Apart], int], dict[str, Any]]


EngineFor = Callable[[Sequence[ClauseText], Tell], Engine]


def run(claimed: PreviewRun, *, engine_for: EngineFor, stop_asked: Callable[[], bool]) -> None:
    """Work on a claimed preview until it is finished, failed or taken away, or until `stop_asked`."""
    leases.work_on(
        claimed,
        partial(_run, engine_for),
        stop_asked=stop_asked,
        fail=lambda job, error: asking.fail(run=job, error=error),
        faults=(StageFailed, Refused),
    )


def _run(engine_for: EngineFor, claimed: PreviewRun, check: leases.Check) -> None:
    preview = Preview.objects.select_related("base", "amendment__cluster", "amendment__producer").get(
        pk=claimed.preview_id
    )
    _check_is_wanted(preview)
    laws = _laws(preview)
    engine = engine_for(laws.before, lambda message: log.info("preview", preview=preview.pk, doing=message))
    if engine.model_digest != preview.model_digest:
        raise StageFailed("The model's weights changed after it was asked for. Ask again: it is measured with the new.")
    requests = _plan(claimed, preview, laws, engine)
    asked = [Asked(request.prompt, *clauses_for(request, laws)) for request in requests]
    done = preview.items.count()
    began = time.monotonic()
    for batch in engine.measure(asked[done:], preview.seed):
        check()
        _keep(claimed, requests, asked, batch, done=done, seconds=time.monotonic() - began)
        done, began = done + len(batch), time.monotonic()
    asking.finish(run=claimed, result=_result(preview, laws, requests, engine))


def _check_is_wanted(preview: Preview) -> None:
    """No work is spent on what nobody decides on any more. Raises StageFailed, or the refusal of asking for it."""
    if preview.battery not in BATTERIES:
        raise StageFailed("Previews are measured otherwise by now. Ask again: it is measured as they are now.")
    rows = Amendment.objects.undecided().filter(base__digest=preview.base_digest, digest=preview.content)
    sharing = rows.filter(pk=preview.amendment_id) or rows.order_by("pk")[:MOST_SHARING]
    refused: Exception = StageFailed("It was left alone: by then the proposal was decided, or had another text.")
    for amendment in sharing.select_related("producer"):
        try:
            previews.check_can_ask(amendment, None)
        except Refused as refusal:
            refused = refusal
        else:
            return
    raise refused


def _laws(preview: Preview) -> Laws:
    rows = Revision.objects.filter(amendment=preview.amendment_id, digest=preview.content).order_by("-number")
    operations = rows[0].content
    before = preview.base.texts()
    touched = frozenset(principle for operation in operations for principle in operation.touches)
    return Laws(before, apply(operations, before), touched)


def _plan(claimed: PreviewRun, preview: Preview, laws: Laws, engine: Engine) -> list[Request]:
    """The requests, drawn at the first try and kept."""
    if claimed.plan is None:
        battery = BATTERIES[preview.battery]
        drawn = draw(preview.amendment, laws, battery, seed=preview.seed, shown=engine.shown)
        if not drawn:
            raise StageFailed("There is nothing to measure it on. Import scenarios, then ask again.")
        with leases.fenced(claimed) as row:
            row.plan = claimed.plan = [request.as_json() for request in drawn]
            row.save(update_fields=["plan"])
            preview.total = len(drawn)
            preview.save(update_fields=["total"])
            announce(previews.topic(preview.content))
    return [Request.of(row) for row in claimed.plan]


def _keep(
    claimed: PreviewRun,
    requests: Sequence[Request],
    asked: Sequence[Asked],
    batch: Sequence[Heard],
    *,
    done: int,
    seconds: float,
) -> None:
    """Write down a batch; all of it, or nothing."""
    with leases.fenced(claimed) as row:
        PreviewItem.objects.bulk_create(
            PreviewItem(
                preview=row.preview,
                place=place,
                components=list(requests[place].components),
                prompt=requests[place].prompt,
                label=requests[place].label,
                principle=before.principle if (before := asked[place].before) else "",
                arms=heard,
            )
            for place, heard in enumerate(batch, start=done)
        )
        row.preview.done = done + len(batch)
        row.preview.seconds += seconds
        row.preview.save(update_fields=["done", "seconds"])
        announce(previews.topic(row.preview.content))


def _result(preview: Preview, laws: Laws, requests: Sequence[Request], engine: Engine) -> dict[str, Any]:
    """The figures of all that was read, what they rest on, and whether acceptance may rest on them. What two clauses
    make of a request is read here, in one go: that is short, and a worker killed over it reads only that again."""
    rows = [(tuple(item.components), item.arms) for item in preview.items.order_by("place")]
    components = engine.summarise(rows, preview.seed)
    unscored = sum(any(arm["verdict"] == "unscored" for arm in heard.values()) for _, heard in rows)
    return {
        "components": components,
        "absent": absent(requests),
        "conflicts": conflicts.measure(
            requests,
            [{arm: one["margin"] for arm, one in heard.items()} for _, heard in rows],
            laws,
            lean=engine.lean,
            summarise=lambda found: engine.conflicts(found, preview.seed),
        ),
        "unscored": unscored,
        "certifies": _certifies(components),
        "judge": engine.judge,
        "is_advisory": not judging.may_gate(engine.judge),
        "prompts": engine.prompts,
        "device": engine.device,
        "tokens": {name: _length(law, laws.touched, engine) for name, law in _both(laws)},
    }


def _certifies(components: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing essential went unscored, and of the rest so little that it stands for all of it."""
    return bool(components) and all(
        row["unscored"] <= (0 if row["name"] in ESSENTIAL else MAX_UNSCORED * (row["n"] + row["unscored"]))
        for row in components
    )


def _both(laws: Laws) -> tuple[tuple[str, Sequence[ClauseText]], ...]:
    return ("before", laws.before), ("after", laws.after)


def _length(law: Sequence[ClauseText], touched: frozenset[str], engine: Engine) -> int:
    return sum(engine.tokens(clause.text) for clause in law if clause.principle in touched)
