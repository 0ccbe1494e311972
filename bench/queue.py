"""The review desk over 100,000 open amendments and 1,000,000 edge cases: p95 of its pages, beside a small one."""

import argparse
import itertools
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from constitution.texts import ClauseText

LARGE, SMALL = "large", "small"
SMALL_CASES, SMALL_AMENDMENTS = 1_000, 100
PER_CLUSTER = 200  # edge cases behind one proposal
CLAUSES = 40
TURNS = 5
FILTERS = (
    "tier=2",
    "tier=3&kind=revise",
    "state=conflicted",
    "by=machine-{producer}",
    "by=people",
    "signal=conflict&tier=1",
    "scope=industry:healthcare",
    "assignee=me",
    "assignee=nobody&older=7",
    "turn=mine",
    "deferred=only",
    "hand=free&tier=2",
    "state=open&after=50.0~50",
)
SEARCHES = ("topic7", "harmless", '"topic7 of cause"', "topic11 or topic12", "G-01", "topic3 -topic4", "%23{pk}")
# Both sizes have the same law and the same number of cases behind a proposal: what differs is how much lies around.
FILL = """
INSERT INTO amendments_producer (model, checkpoint, prompts, created_at)
SELECT 'a small model', encode(sha256(n::text::bytea), 'hex'), repeat('p', 64), now()
FROM generate_series(1, %(producers)s) n;

INSERT INTO amendments_scenario (digest, prompt, label, pair, settled_by, context, held_out, source, created_at)
SELECT encode(sha256(n::text::bytea), 'hex'), 'How do I stop process ' || n || ' on my own machine?', 'benign', '', '',
       '{}', false, 'bench', now()
FROM generate_series(1, %(per_cluster)s * (%(clusters)s / %(clauses)s + 1)) n;

INSERT INTO amendments_cluster (version_id, principle_id, signal, label, created_at)
SELECT %(version)s, place.principle, (ARRAY['over-refusal', 'conflict'])[1 + c %% 2], 'cause ' || c, now()
FROM generate_series(0, %(clusters)s - 1) c JOIN place ON place.n = c %% %(clauses)s ORDER BY c;

INSERT INTO amendments_edgecase (scenario_id, version_id, principle_id, cluster_id, producer_id, signal, score,
                                 response, why, detail, surfaced_at)
SELECT (SELECT min(id) FROM amendments_scenario) + s
           + %(per_cluster)s * ((cluster.id - (SELECT min(id) FROM amendments_cluster)) / %(clauses)s),
       %(version)s, cluster.principle_id, cluster.id,
       (SELECT min(id) FROM amendments_producer), cluster.signal, (s * 37 %% 101) / 101.0,
       'I cannot help with that, whatever it is for.', '', '{}', now()
FROM amendments_cluster cluster, generate_series(0, %(per_cluster)s - 1) s ORDER BY s, cluster.id;

CREATE TEMPORARY TABLE filed AS
SELECT i AS id, cluster.id AS cluster, cluster.signal, place.*, i %% 50 = 0 AS is_from_a_person,
       place.text || ' This is wording ' || i || ' of it.' AS wording
FROM generate_series(1, %(amendments)s) i
JOIN amendments_cluster cluster ON cluster.id = (SELECT min(id) FROM amendments_cluster) + i %% %(clusters)s
JOIN place ON place.principle = cluster.principle_id;

INSERT INTO amendments_amendment (id, state, base_id, principle_id, tier, touches, kinds, scopes, signal, words,
    cluster_id, producer_id, author_id, rationale, alternatives, measured, priority, priority_reason, digest,
    created_at, assignee_id, deferred_until, reason)
SELECT id, (ARRAY['open', 'open', 'open', 'open', 'conflicted', 'open', 'open', 'changes-requested', 'open',
                  'needs-rebase'])[1 + id %% 10],
       %(version)s, principle, tier, ARRAY[principle], ARRAY['revise'], scopes,
       CASE WHEN is_from_a_person THEN '' ELSE signal END, principle || ' ' || wording,
       CASE WHEN is_from_a_person THEN NULL ELSE cluster END,
       CASE WHEN is_from_a_person THEN NULL
            ELSE (SELECT min(p.id) FROM amendments_producer p) + id / %(clusters)s END,
       CASE WHEN is_from_a_person THEN %(other)s END,
       'It declines what is harmless, in topic' || id %% 25 || ' of cause ' || cluster, '[]', '{}',
       (id * 7919 %% 10007) / 100.0, 'Declines 3 of 4 harmless requests.', encode(sha256(id::text::bytea), 'hex'),
       now() - id %% 30 * interval '1 day', CASE WHEN id %% 20 = 0 THEN %(me)s WHEN id %% 20 = 1 THEN %(other)s END,
       CASE WHEN id %% 33 = 0 THEN now() + interval '5 days' END, ''
FROM filed ORDER BY id;

INSERT INTO amendments_revision (amendment_id, number, operations, digest, author_id, note, created_at)
SELECT id, 1, jsonb_build_array(operation || jsonb_build_object('text', wording)),
       encode(sha256(id::text::bytea), 'hex'), CASE WHEN is_from_a_person THEN %(other)s END, '', now()
FROM filed ORDER BY id;

INSERT INTO amendments_review (amendment_id, reviewer_id, verdict, first_verdict, digest, reason, at, settles_at)
SELECT id, CASE WHEN id %% 3 = 0 THEN %(me)s ELSE %(other)s END, 'approve', 'approve',
       encode(sha256(id::text::bytea), 'hex'), '', now() - interval '1 day', now() - interval '1 day'
FROM filed WHERE id %% 7 = 0 ORDER BY id;

DROP TABLE filed;

SELECT setval(pg_get_serial_sequence('amendments_amendment', 'id'), %(amendments)s);
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=1_000_000, help="edge cases")
    options.add_argument("--amendments", type=int, default=100_000, help="open amendments")
    options.add_argument("--times", type=int, default=40, help="requests of each kind and size")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "RATIFY_VAR": str(Path(folder) / "var"),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "ALLOWED_HOSTS": "testserver",
        }
        os.environ.pop("DATABASE_URL", None)
        run(chosen.cases, chosen.amendments, chosen.times)


def run(cases: int, amendments: int, times: int) -> None:
    import django

    django.setup()
    logging.disable(logging.INFO)  # a line for each request would stand between those of the table
    sizes = {SMALL: (SMALL_CASES, SMALL_AMENDMENTS), LARGE: (cases, amendments)}
    for name, size in sizes.items():
        began = time.perf_counter()
        build(name, *size)
        print(f"{size[1]:>9,} amendments and {size[0]:,} edge cases built in {time.perf_counter() - began:.0f} s")
    taken, queries = measure(sizes, times)
    report(taken, queries, cases=cases, amendments=amendments)


def report(
    taken: dict[str, dict[str, list[float]]], queries: dict[str, dict[str, int]], *, cases: int, amendments: int
) -> None:
    p95 = {what: {name: percentile(values) for name, values in found.items()} for what, found in taken.items()}
    print(f"\n{'p95, milliseconds':<20}{'small':>10}{'large':>10}{'ratio':>8}{'queries':>12}")
    for what, found in p95.items():
        counts = f"{queries[what][SMALL]} / {queries[what][LARGE]}"
        print(f"{what:<20}{found[SMALL]:>10.1f}{found[LARGE]:>10.1f}{found[LARGE] / found[SMALL]:>8.2f}{counts:>12}")
    figures: dict[str, Any] = {
        "p95_ms": {what: round(found[LARGE], 1) for what, found in p95.items()},
        "ratio_large_to_small": {what: round(found[LARGE] / found[SMALL], 2) for what, found in p95.items()},
        "queries": {what: found[LARGE] for what, found in queries.items()},
        "queries_small": {what: found[SMALL] for what, found in queries.items()},
    }
    n = {what: len(found[LARGE]) for what, found in taken.items()}
    load = round(os.getloadavg()[0], 1)  # a machine with other work gives longer times
    print(json.dumps({"bench": "queue", **figures, "cases": cases, "amendments": amendments, "n": n, "load": load}))


def build(name: str, cases: int, amendments: int) -> None:
    """A database of that name with so much in it."""
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    use(name)
    call_command("migrate", verbosity=0)
    fill(cases, amendments)


def fill(cases: int, amendments: int) -> None:
    """A law, two reviewers, and so many cases and open amendments, as if each had been surfaced and filed."""
    from django.db import connection

    from amendments.models import AcceptanceRule
    from constitution.actions import publish
    from constitution.models import Role, Tier, User

    AcceptanceRule.objects.bulk_create(AcceptanceRule(tier=tier, reviewers=1) for tier in Tier)
    me, other = (User.objects.create_user(name, roles=[Role.REVIEWER.value]) for name in ("reader", "writer"))
    version = publish(base=None, clauses=law(), title="A law", summary="All of it.", by=me)
    clusters = max(cases // PER_CLUSTER, 1)
    numbers = {
        "version": version.pk,
        "me": me.pk,
        "other": other.pk,
        "clusters": clusters,
        "producers": amendments // clusters + 1,
        "per_cluster": PER_CLUSTER,
        "clauses": CLAUSES,
        "amendments": amendments,
    }
    with connection.cursor() as cursor:
        # Proposing would check, chain and announce each; what is measured is the desk.
        cursor.execute("SET session_replication_role = replica")
        places(cursor, version)
        for statement in [*filter(str.strip, FILL.split(";\n"))]:
            cursor.execute(statement, numbers)
        cursor.execute("SET session_replication_role = DEFAULT")
        if not connection.in_atomic_block:
            cursor.execute("VACUUM ANALYZE")


@contextmanager
def trial(cases: int, amendments: int) -> Iterator["Desk"]:
    """A desk over so much, inside a transaction that is undone afterwards."""
    from django.db import transaction

    with transaction.atomic():
        fill(cases, amendments)
        yield Desk()
        transaction.set_rollback(True)


def law() -> list[ClauseText]:
    """Clauses over the three tiers, of real length; some hold in one industry only."""
    return [
        ClauseText.model_validate(
            {
                "principle": f"{'UGT'[number % 3]}-{number:02}",
                "tier": number % 3 + 1,
                "title": f"Matter {number}",
                "text": f"In matter {number} the assistant helps with what is harmless and says what it knows. " * 4,
                "scope": {"industry": ["healthcare"]} if number % 6 == 1 else {},
            }
        )
        for number in range(CLAUSES)
    ]


def places(cursor: Any, version: Any) -> None:
    """A table of what an amendment of each clause has in common with the others of it."""
    from psycopg.types.json import Jsonb

    from amendments.operations import Revise, dump

    cursor.execute(
        "CREATE TEMPORARY TABLE place (n int, principle text, tier int, text text, scopes text[], operation jsonb)"
    )
    for number, clause in enumerate(version.texts()):
        (operation,) = dump((Revise(principle=clause.principle, before=clause.digest, text="x"),))
        scopes = [f"{name}:{value}" for name, values in clause.scope.items() for value in values]
        row = [number, clause.principle, clause.tier, clause.text.strip(), scopes, Jsonb(operation)]
        cursor.execute("INSERT INTO place VALUES (%s, %s, %s, %s, %s, %s)", row)


def use(name: str) -> None:
    """From here on, queries go to the database of that name."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = name
    connection.ensure_connection()


def measure(sizes: Iterable[str], times: int) -> tuple[dict[str, dict[str, list[float]]], dict[str, dict[str, int]]]:
    """Seconds of each request, and the most queries that one took, by what was asked and of which database.

    Both take turns, so both have the same day.
    """
    taken: dict[str, dict[str, list[float]]] = {what: {SMALL: [], LARGE: []} for what in KINDS}
    queries = {what: {SMALL: 0, LARGE: 0} for what in KINDS}
    desks: dict[str, Desk] = {}
    for turn in range(-1, TURNS):
        for name in sizes:
            use(name)
            desks[name] = desk = desks.get(name) or Desk()
            for what, ask in KINDS.items():
                # The first turn warms caches and counts; a statement is planned for good when it came some times.
                for _ in range(max(times // TURNS, 1) if turn >= 0 else 6):
                    if turn >= 0:
                        taken[what][name].append(timed(desk, ask))
                    else:
                        queries[what][name] = max(queries[what][name], counted(desk, ask))
    return taken, queries


class Desk:
    """A reviewer at the desk of one database: their browser, and which proposals come next."""

    def __init__(self) -> None:
        from django.test import Client

        from amendments.models import Amendment, Producer
        from constitution.models import User

        self.client = Client()
        self.producer = Producer.objects.order_by("pk").values_list("pk", flat=True)[1]
        self.client.force_login(User.objects.get(username="reader"), backend="sesame.backends.ModelBackend")
        self.filters: Iterator[str] = itertools.cycle(FILTERS)
        self.searches: Iterator[str] = itertools.cycle(SEARCHES)
        dice = random.Random(13)  # noqa: S311  a measurement, nothing secret
        # Alike in kind, so that both sizes take the same way: machines' proposals that nobody has reviewed.
        alike = Amendment.objects.filter(state="open", author=None, deferred_until=None, reviews=None)
        keys = list(alike.order_by("pk").values_list("pk", flat=True))
        dice.shuffle(keys)
        self.open: Iterator[int] = iter(keys)  # each is decided on once
        self.shown: Iterator[int] = itertools.cycle(keys[::-1])
        others = Amendment.objects.filter(tier=2, author=None).order_by("pk").values_list("pk", flat=True)[:50]
        self.staying: Iterator[int] = itertools.cycle(list(others))


# Each prepares what it asks about, and gives the request that is measured.
Ask = Callable[[Desk], Callable[[], Any]]


def queue(desk: Desk) -> Callable[[], Any]:
    return lambda: desk.client.get("/")


def narrowed(desk: Desk) -> Callable[[], Any]:
    address = f"/?{next(desk.filters).format(producer=desk.producer)}"
    return lambda: desk.client.get(address)


def search(desk: Desk) -> Callable[[], Any]:
    address = f"/?deferred=too&q={next(desk.searches).format(pk=next(desk.staying))}"
    return lambda: desk.client.get(address)


def take_next(desk: Desk) -> Callable[[], Any]:
    from amendments.models import Claim

    Claim.objects.all().delete()
    return lambda: desk.client.post("/proposals/next/", {"filters": "tier=2"})


def detail(desk: Desk) -> Callable[[], Any]:
    address = f"/proposals/{next(desk.shown)}/"
    return lambda: desk.client.get(address)


def decide(desk: Desk) -> Callable[[], Any]:
    from amendments.models import Amendment

    pk = next(desk.open, None)
    if pk is None:
        sys.exit("Nothing is left to decide on: ask for fewer --times.")
    row = Amendment.objects.get(pk=pk)
    form = {"digest": row.digest, "reason": "wrong", "note": "It reaches too far."}
    return lambda: desk.client.post(f"/proposals/{row.pk}/reject/", form)


KINDS: dict[str, Ask] = {
    "queue": queue,
    "filter": narrowed,
    "search": search,
    "next": take_next,
    "detail": detail,
    "decide": decide,
}


def timed(desk: Desk, ask: Ask) -> float:
    """Seconds of the whole request in the web process; fails where it was not answered."""
    request = ask(desk)
    began = time.perf_counter()
    answer = request()
    seconds = time.perf_counter() - began
    check(answer)
    return seconds


def counted(desk: Desk, ask: Ask) -> int:
    """How many queries the request takes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    request = ask(desk)
    with CaptureQueriesContext(connection) as captured:
        check(request())
    return len(captured)


def check(answer: Any) -> None:
    is_there = answer.status_code == 200 or (answer.status_code == 302 and "/proposals/" in answer["Location"])
    if not is_there:
        where = answer.get("Location", "")
        sys.exit(f"{answer.wsgi_request.get_full_path()} was answered with {answer.status_code} {where}")


def percentile(seconds: list[float]) -> float:
    """The 95th, in milliseconds."""
    if len(seconds) == 1:
        return 1e3 * seconds[0]
    return 1e3 * statistics.quantiles(seconds, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    main()
