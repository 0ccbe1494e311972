"""Requests that clauses in force decide in opposite ways, kept as edge cases of conflict. Rules find these, no model
does; which of the two is right, people know.
"""

from django.db import transaction

from amendments.cases import cluster_for, wait_for_turn
from amendments.models import EdgeCase, Producer, Scenario, Signal
from amendments.opposed import Opposed, opposed
from amendments.scenarios import ScenarioText
from config.live import publish as announce
from constitution.digests import digest
from constitution.models import Version

RULES = "contradictions-1"
SOURCE = "decided examples that contradict each other"


def producer() -> Producer:
    """Under which name these rules find cases: another one when they change."""
    rules = digest([RULES])
    return Producer.objects.get_or_create(model="Contradiction rules", checkpoint=rules, prompts=digest([]))[0]


@transaction.atomic
def keep(version: Version) -> int:
    """File a case for each request that is decided both ways, under the clause that has it declined; how many are new.
    None for what is held out: nothing is proposed on it."""
    found = opposed(version.texts())
    if not found:
        return 0
    wait_for_turn()
    by = producer()
    filed = sum(_file(version, one, by) for one in found)
    if filed:
        announce("queue")
    return filed


def _file(version: Version, one: Opposed, by: Producer) -> bool:
    text = ScenarioText(prompt=one.request)
    scenario = Scenario.objects.filter(digest=text.digest).first()
    if scenario is None:
        scenario = text.row(SOURCE)
        scenario.save()
    key = {"scenario": scenario, "version": version, "principle_id": one.declined_by, "signal": Signal.CONFLICT}
    if scenario.held_out or EdgeCase.objects.filter(**key).exists():
        return False
    cluster = cluster_for(version=version.pk, principle=one.declined_by, signal=Signal.CONFLICT)
    EdgeCase.objects.create(**key, cluster=cluster, producer=by, score=1.0, response=one.answer, why=one.sentence)
    return True
