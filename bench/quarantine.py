"""120,000 proposals of one producer rejected together: how long, how much memory, and what another reviewer notices."""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BEFORE = 150
# Beside those of the producer, from people, for the other reviewer to decide on.
OTHERS = 4000
PRINCIPLES = 20
PAUSE = 0.05
# Copies of a proposal that was filed by the real action: whatever columns there are, they are like its.
COPY = """
INSERT INTO amendments_amendment ({columns})
SELECT {values} FROM amendments_amendment, generate_series(1, {{copies}}) number WHERE id = ANY({{templates}});
INSERT INTO amendments_revision (amendment_id, number, operations, digest, author_id, note, created_at)
SELECT copy.id, 1, revision.operations, copy.digest, revision.author_id, '', now()
FROM amendments_amendment copy
JOIN amendments_amendment template ON template.id = ANY({{templates}}) AND template.principle_id = copy.principle_id
JOIN amendments_revision revision ON revision.amendment_id = template.id
WHERE copy.producer_id IS NOT DISTINCT FROM template.producer_id AND copy.id <> ALL({{templates}});
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--proposals", type=int, default=120_000)
    options.add_argument("--batch", type=int, help="rejected in one transaction, instead of what is usual")
    options.add_argument("--rest", type=float, help="how much longer than a batch the pause behind it lasts")
    options.add_argument("--clear", action="store_true", help="be the process that rejects")
    chosen = options.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    if chosen.clear:
        clear(chosen.batch, chosen.rest)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": str(Path(folder) / "var"), "ALLOWED_HOSTS": "testserver"}
        os.environ.pop("DATABASE_URL", None)
        given = {"--batch": chosen.batch, "--rest": chosen.rest}
        run(chosen.proposals, [f"{name}={value}" for name, value in given.items() if value is not None])


def clear(batch: int | None, rest: float | None) -> None:
    """As the cpu worker does it, until all is done; ends with what it took."""
    import django

    django.setup()
    from amendments import producers, tasks
    from amendments.models import Clearance

    producers.BATCH = producers.BATCH if batch is None else batch
    producers.REST = producers.REST if rest is None else rest
    reject, lasted = producers.clear_batch, []

    def timed_batch(**arguments: Any) -> int:
        start = time.perf_counter()
        rejected = reject(**arguments)
        lasted.append(time.perf_counter() - start)
        return rejected

    setattr(producers, "clear_batch", timed_batch)  # noqa: B010  mypy takes a function for a constant
    before = memory()
    began = time.perf_counter()
    while Clearance.objects.filter(ended_at=None).exists():
        producers.clear(seconds=tasks.CLEAR_SECONDS)
    told = {"seconds": time.perf_counter() - began, "rss_mb": memory(), "rss_before_mb": before}
    told |= {"batch_median_s": statistics.median(lasted), "longest_s": max(lasted), "batch": producers.BATCH}
    print(json.dumps(told))


def memory() -> float:
    """The most that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(proposals: int, given: list[str]) -> None:
    import django

    django.setup()
    logging.disable(logging.INFO)  # each request says so otherwise
    from amendments import producers
    from amendments.models import Amendment, Producer
    from constitution import ledger
    from constitution.models import Role
    from constitution.people import register

    began = time.perf_counter()
    producer = build(proposals)
    print(f"{proposals:,} open proposals of one producer, {OTHERS:,} of people, in {time.perf_counter() - began:.0f} s")
    ada, grace = (register(username=name, roles=[Role.REVIEWER], by="bench") for name in ("ada", "grace"))
    asked = visits(grace)
    before = [next(asked) for _ in range(BEFORE)]
    producers.quarantine(producer=producer, note="A measurement.", by=ada)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=ada)
    command = [sys.executable, "-m", "bench.quarantine", "--clear", *given]
    during = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            during.append(next(asked))
        assert process.stdout is not None  # noqa: S101  it is a pipe
        told = json.loads(process.stdout.read().splitlines()[-1])
    clearance.refresh_from_db()
    left = Amendment.objects.undecided().filter(producer=Producer.objects.get(pk=producer.pk)).count()
    if left or clearance.rejected != proposals:
        raise SystemExit(f"{left} are open still, {clearance.rejected} were rejected.")
    entries = ledger.verify()
    print(f"All rejected, each with its entry; the ledger holds over {entries:,} entries.")
    report(told, before, during, proposals)


def report(told: dict[str, float], before: list[dict[str, float]], during: list[dict[str, float]], n: int) -> None:
    figures: dict[str, float] = {}
    print(f"\n{'milliseconds':<20}{'median before':>15}{'p95 before':>12}{'median during':>15}{'p95 during':>12}")
    for what in ("queue", "decision"):
        columns = [spread([row[what] for row in rows]) for rows in (before, during)]
        print(f"{what:<20}{columns[0][0]:>15.1f}{columns[0][1]:>12.1f}{columns[1][0]:>15.1f}{columns[1][1]:>12.1f}")
        figures |= {f"{what}_p95_before_ms": round(columns[0][1], 1), f"{what}_p95_during_ms": round(columns[1][1], 1)}
    rounded = {name: round(value, 3) for name, value in told.items()}
    counts = {"proposals": n, "n_before": len(before), "n_during": len(during)}
    print(json.dumps({"bench": "quarantine", **rounded, **figures, **counts}))


def spread(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    return 1e3 * statistics.median(seconds), 1e3 * statistics.quantiles(seconds, n=20)[-1]


def build(proposals: int) -> Any:
    """A seeded installation with so many open proposals of one producer, which is returned."""
    from django.core.management import call_command
    from django.db import connection

    from amendments.models import Amendment, Producer
    from constitution.models import Role, Version
    from constitution.people import register

    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    head = Version.objects.head()
    assert head is not None  # noqa: S101  seeded
    clauses = [clause for clause in head.texts() if clause.tier > 1][:PRINCIPLES]
    producer = Producer.objects.create(model="a flood", checkpoint="f" * 64, prompts="f" * 64)
    author = register(username="author", roles=[Role.RESEARCHER], by="bench")
    written = [field for field in Amendment._meta.concrete_fields if not (field.primary_key or field.generated)]
    changed = {"priority": "priority + random()", "digest": "encode(sha256((id || ' ' || number)::bytea), 'hex')"}
    quoted = {str(field.column): f'"{field.column}"' for field in written}
    copy = COPY.format(
        columns=", ".join(quoted.values()),
        values=", ".join(changed.get(name, name_quoted) for name, name_quoted in quoted.items()),
    )
    for by, count in ((producer, proposals), (author, OTHERS)):
        templates = [file(by, head, clause) for clause in clauses]
        with connection.cursor() as cursor:
            numbers = "ARRAY[" + ",".join(map(str, templates)) + "]::bigint[]"
            cursor.execute(copy.format(copies=count // len(clauses) - 1, templates=numbers))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return producer


def file(by: Any, head: Any, clause: Any) -> int:
    from amendments.actions import propose
    from amendments.operations import Revise

    revise = Revise(principle=clause.principle, before=clause.digest, text=f"{clause.text} It says so plainly.")
    return propose(by=by, base=head, operations=(revise,), rationale="It was not clear.").pk


def visits(person: Any) -> Iterator[dict[str, float]]:
    """Seconds of a look at the queue and of a rejection by `person`, again and again."""
    from django.test import Client
    from django.urls import reverse

    from amendments.models import Amendment

    client = Client()
    client.force_login(person, backend="sesame.backends.ModelBackend")
    waiting = Amendment.objects.undecided().filter(producer=None).order_by("pk").values_list("pk", "digest")
    for pk, digest in waiting.iterator(chunk_size=100):
        reason = {"digest": digest, "reason": "wrong", "note": "A measurement."}
        yield {
            "queue": timed(lambda: client.get("/"), 200),
            "decision": timed(lambda: client.post(reverse("amendments:amendment-reject", args=[pk]), reason), 302),  # noqa: B023
        }
        time.sleep(PAUSE)


def timed(ask: Any, wanted: int) -> float:
    began = time.perf_counter()
    answer = ask()
    seconds = time.perf_counter() - began
    if answer.status_code != wanted:
        raise SystemExit(f"{answer.status_code}: {answer.content.decode()[:500]}")
    return seconds


if __name__ == "__main__":
    main()
