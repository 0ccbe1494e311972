"""How long a new edge case takes to find its cluster among many cases of one kind, in few clusters and in many."""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

SIZE = 384  # of the sentence model's directions
KIND = "bench"
ROWS_AT_ONCE = 2_000  # a statement takes 65,535 values at most
# A million rows would take half an hour through models; their triggers run all the same.
FILL = (
    """
    INSERT INTO amendments_scenario (digest, prompt, label, pair, settled_by, context, held_out, source, created_at)
    SELECT lpad(n::text, 64, '0'), 'Request ' || n || '?', 'unknown', '', '', '{}', false, 'bench', now()
    FROM generate_series(0, %(cases)s - 1) n
    """,
    """
    CREATE TEMPORARY TABLE of_cluster ON COMMIT DROP AS
    SELECT c.id, c.version_id, c.principle_id, c.signal, row_number() OVER (ORDER BY c.id) - 1 AS place, m.mean
    FROM amendments_cluster c JOIN amendments_centroid m ON m.cluster_id = c.id
    """,
    """
    INSERT INTO amendments_edgecase (scenario_id, version_id, principle_id, cluster_id, producer_id, signal, score,
        response, why, detail, surfaced_at)
    SELECT s.id, c.version_id, c.principle_id, c.id, %(producer)s, c.signal, 0.8, 'No.', '', '{}', now()
    FROM amendments_scenario s JOIN of_cluster c ON c.place = s.digest::numeric %% %(clusters)s
    """,
    """
    INSERT INTO amendments_embedding (scenario_id, kind, direction)
    SELECT s.id, %(kind)s, c.mean
    FROM amendments_scenario s JOIN of_cluster c ON c.place = s.digest::numeric %% %(clusters)s
    """,
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--clusters", type=int, nargs="*", default=[100, 10_000])
    options.add_argument("--times", type=int, default=20, help="batches of eight newcomers for each size")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": str(Path(folder) / "var"), "DJANGO_SETTINGS_MODULE": "config.settings"}
        os.environ.pop("DATABASE_URL", None)
        run(chosen.cases, chosen.clusters, chosen.times)


def run(cases: int, sizes: list[int], times: int) -> None:
    import django

    django.setup()
    logging.disable(logging.INFO)
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    print(f"{'cases':>9}{'clusters':>10}{'batch of 8, s':>15}{'each, ms':>10}{'scan alone, ms':>16}")
    found = {}
    for clusters in sizes:
        with transaction.atomic():
            version, means = fill(cases, clusters)
            batches = [join(version, means, batch) for batch in range(times)]
            scan = scan_alone(means)
            transaction.set_rollback(True)
        batch = statistics.median(batches)
        found[clusters] = round(1000 * batch / 8, 1)
        print(f"{cases:>9,}{clusters:>10,}{batch:>15.3f}{1000 * batch / 8:>10.1f}{scan:>16.2f}")
    print(json.dumps({"bench": "joining", "cases": cases, "ms_each_by_clusters": found}))


def fill(cases: int, clusters: int) -> tuple[int, np.ndarray]:
    """A law and so many cases of one kind around the means of so many clusters; the means."""
    from django.db import connection

    from amendments.joining import pack
    from amendments.models import Cluster, Producer
    from amendments.models.cases import Centroid
    from constitution.actions import publish
    from constitution.models import Role, User
    from constitution.texts import ClauseText

    me = User.objects.create_user("reader", roles=[Role.REVIEWER.value])
    clause = {"principle": "G-01", "tier": 2, "title": "Matter", "text": "The assistant helps with what is harmless."}
    version = publish(base=None, clauses=[ClauseText.model_validate(clause)], title="A law", summary="All.", by=me)
    producer = Producer.objects.create(model="a small model", checkpoint="c" * 64, prompts="p" * 64)
    means = np.random.default_rng(0).normal(size=(clusters, SIZE)).astype(np.float32)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    facts = {"version": version, "principle_id": "G-01", "signal": "conflict"}
    rows = Cluster.objects.bulk_create(
        [Cluster(**facts, label=str(n) if n else "") for n in range(clusters)], batch_size=ROWS_AT_ONCE
    )
    Centroid.objects.bulk_create(
        [
            Centroid(cluster=row, kind=KIND, mean=pack(mean), size=cases // clusters)
            for row, mean in zip(rows, means, strict=True)
        ],
        batch_size=ROWS_AT_ONCE,
    )
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, {"cases": cases, "clusters": clusters, "kind": KIND, "producer": producer.pk})
        cursor.execute("ANALYZE")
    return version.pk, means


def join(version: int, means: np.ndarray, batch: int) -> float:
    """Seconds that eight newcomers take, each near another cluster."""
    from amendments.joining import Newcomer, place
    from amendments.models import Scenario

    chance = np.random.default_rng(batch + 1)
    newcomers = []
    for number in range(8):
        near = means[int(chance.integers(len(means)))] + chance.normal(size=SIZE).astype(np.float32) * 0.01
        scenario = Scenario.objects.create(digest=f"x{batch}-{number}", prompt="New?", source="bench")
        newcomers.append(Newcomer(scenario.pk, "New?", "G-01", "conflict", near / np.linalg.norm(near)))
    began = time.perf_counter()
    place(version=version, kind=KIND, newcomers=newcomers)
    return time.perf_counter() - began


def scan_alone(means: np.ndarray) -> float:
    """Milliseconds of one exact comparison with all means."""
    from amendments.joining import nearest

    taken = []
    for number in range(20):
        began = time.perf_counter()
        nearest(means[number % len(means)], means)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


if __name__ == "__main__":
    main()
