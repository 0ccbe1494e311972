"""The text on a date, a comparison and blame: p95 over 10,000 versions of 500 clauses, beside 100 versions."""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

PER_VERSION = 25  # every principle is reworded once in as many versions, one sentence of its four in turn
APART = 5  # versions between the two that are compared
LARGE, SMALL = "large", "small"
# What a version of any number looks like is the same: four sentences a clause, of four different versions. So both
# histories have the same work in a page, and what differs is how much lies around it.
FILL = """
INSERT INTO constitution_principle (id, created_at)
SELECT 'c_' || p, now() FROM generate_series(0, %(clauses)s - 1) p;

CREATE TEMPORARY TABLE wording AS
SELECT p, j, since, LEAST(since + CASE WHEN j = 0 THEN p %% 25 + 1 ELSE 25 END - 1, %(versions)s) AS until,
       row_number() OVER (ORDER BY since, p) AS id,
       ARRAY(SELECT GREATEST(0, j - ((j - 1 - k) %% 4 + 4) %% 4) FROM generate_series(0, 3) k ORDER BY k) AS turns
FROM (SELECT p, j, CASE WHEN j = 0 THEN 1 ELSE 2 + p %% 25 + 25 * (j - 1) END AS since
      FROM generate_series(0, %(clauses)s - 1) p, generate_series(0, %(versions)s / 25 + 1) j) drawn
WHERE since <= %(versions)s;

INSERT INTO constitution_clause (id, principle_id, tier, title, text, scope, examples, refers_to, precedes,
                                 exclusive_with, may_narrow, digest)
SELECT id, 'c_' || p, 1 + p %% 3, 'Rule ' || p,
       (SELECT string_agg('In matter ' || p || ' the assistant follows course ' || turn || ' of step ' || k
                          || ' and says what it knows, what it does not, and where its facts are from.', ' ' ORDER BY k)
        FROM unnest(turns) WITH ORDINALITY AS t (turn, k)),
       '{}', '[]', '{}', '{}', '{}', false, encode(sha256(('clause ' || id)::bytea), 'hex')
FROM wording;

INSERT INTO constitution_version (id, constitution_id, number, parent_id, digest, title, summary, published_at,
                                  published_by_id)
SELECT n, %(constitution)s, n, NULLIF(n - 1, 0), encode(sha256(('version ' || n)::bytea), 'hex'), 'A long law',
       'Change ' || n, timestamptz '2000-01-01 UTC' + n * interval '1 day', %(user)s
FROM generate_series(1, %(versions)s) n;

INSERT INTO constitution_versionclause (version_id, clause_id, principle_id, position, since, origins)
SELECT n, id, 'c_' || p, p + 1, since,
       ARRAY(SELECT CASE WHEN turn = 0 THEN 1 ELSE 2 + p %% 25 + 25 * (turn - 1) END
             FROM unnest(turns) WITH ORDINALITY AS t (turn, k) ORDER BY k)
FROM wording, generate_series(since, until) n ORDER BY n, p;
"""

# Rows by the million go in faster before their indexes: how to drop each, and how to make it again.
INDEXES = """
SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname,
       'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid = 'constitution_versionclause'::regclass AND contype = 'u'
UNION ALL
SELECT 'DROP INDEX ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'constitution_versionclause'::regclass AND NOT indisunique
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--versions", type=int, default=10_000, help="a tenth takes a tenth of the time and disk")
    options.add_argument("--clauses", type=int, default=500)
    options.add_argument("--times", type=int, default=40, help="requests of each kind and size")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": str(Path(folder) / "var"), "DJANGO_SETTINGS_MODULE": "config.settings"}
        os.environ.pop("DATABASE_URL", None)
        run(chosen.versions, chosen.clauses, chosen.times)


def run(versions: int, clauses: int, times: int) -> None:
    import django

    django.setup()
    sizes = {SMALL: 100, LARGE: versions}
    for name, size in sizes.items():
        began = time.perf_counter()
        build(name, versions=size, clauses=clauses)
        print(f"{size:>7,} versions of {clauses} clauses built in {time.perf_counter() - began:.0f} s, {disk()}")
    taken = measure(sizes, times)
    print(f"\n{'p95, milliseconds':<20}{'100 versions':>16}{f'{versions:,} versions':>20}{'ratio':>8}")
    p95 = {what: {name: percentile(values) for name, values in found.items()} for what, found in taken.items()}
    ratios = {what: found[LARGE] / found[SMALL] for what, found in p95.items()}
    for what, found in p95.items():
        print(f"{what:<20}{found[SMALL]:>16.1f}{found[LARGE]:>20.1f}{ratios[what]:>8.2f}")
    figures: dict[str, Any] = {f"{what}_ms": round(found[LARGE], 1) for what, found in p95.items()}
    ratio = round(max(ratios.values()), 2)
    print(json.dumps({"bench": "history", **figures, "ratio_10k_to_100": ratio, "versions": versions, "n": times}))


def build(name: str, *, versions: int, clauses: int) -> None:
    """A database of that name with a home constitution of so many versions, as if each had been published."""
    from django.core.management import call_command
    from django.db import connection

    from constitution.models import Constitution, Role, User

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    use(name)
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("reader", roles=[Role.RESEARCHER.value])
    home = Constitution.objects.create(slug="home", title="A long law", is_home=True)
    numbers = {"versions": versions, "clauses": clauses, "constitution": home.pk, "user": user.pk}
    with connection.cursor() as cursor:
        # Publishing would check and chain every version; what is measured is reading them.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        for drop, _ in indexes:
            cursor.execute(drop)
        for statement in [*filter(str.strip, FILL.split(";\n"))]:
            cursor.execute(statement, numbers)
        for _, create in indexes:
            cursor.execute(create)
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")


def use(name: str) -> None:
    """From here on, queries go to the database of that name."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = name
    connection.ensure_connection()


def disk() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        return str(cursor.fetchone()[0])


def measure(sizes: dict[str, int], times: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each request, by what was asked and of which database. Both take turns, so both have the same day."""
    dice = random.Random(13)  # noqa: S311  a measurement, nothing secret
    taken: dict[str, dict[str, list[float]]] = {what: {SMALL: [], LARGE: []} for what in PAGES}
    for turn in range(-1, 5):
        for name, size in sizes.items():
            use(name)
            for what, page in PAGES.items():
                for _ in range(times // 5 if turn >= 0 else 3):
                    seconds = timed(page, dice.randint(min(91, size - 9), size))
                    if turn >= 0:  # the first turn warms caches
                        taken[what][name].append(seconds)
    return taken


def timed(page: Callable[[int], Any], number: int) -> float:
    """Seconds of the view with its queries and its template; fails where it did not answer."""
    began = time.perf_counter()
    answer = page(number)
    seconds = time.perf_counter() - began
    if answer.status_code != HTTPStatus.OK:
        raise SystemExit(f"Version {number} was answered with {answer.status_code}.")
    return seconds


def request(**query: str) -> Any:
    from django.test import RequestFactory

    from constitution.models import User

    made = RequestFactory().get("/", query)
    made.user = User.objects.get()
    return made


def as_of(number: int) -> Any:
    """The day of a version, by date, and then its text."""
    from constitution.views import version
    from constitution.views.history import timeline

    day = date(2000, 1, 1) + timedelta(days=number)
    answer = timeline.as_of(request(on=day.isoformat()))
    if answer["Location"] != f"/versions/{number}/":
        raise SystemExit(f"{day} led to {answer['Location']}, not to version {number}.")
    return version.show(request(), number)


def compare(number: int) -> Any:
    from constitution.views.history import compare

    return compare.show(request(), number - APART, number)


def blame(number: int) -> Any:
    from constitution.views.history import blame

    return blame.show(request(), number)


PAGES: dict[str, Callable[[int], Any]] = {"asof": as_of, "compare": compare, "blame": blame}


def percentile(seconds: list[float]) -> float:
    """The 95th, in milliseconds."""
    return 1e3 * statistics.quantiles(seconds, n=20)[-1]


if __name__ == "__main__":
    main()
