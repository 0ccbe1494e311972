"""The verbs of edge cases: people add and import them, and say what they hold of them.

Each is one transaction and leaves one ledger entry.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from django.db import connection, transaction
from pydantic import BeforeValidator

from amendments.errors import RoleMissing
from amendments.models import CaseMark, Cluster, EdgeCase, Label, MarkKind, Scenario, Signal
from amendments.reserved import Reserved, registered_entries
from amendments.scenarios import BATCH, Refusal, Report, ScenarioContext, ScenarioText
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import Role, User, Version
from constitution.texts import ClauseProse, PrincipleId, Prose, Value, written

CURATORS = (Role.REVIEWER, Role.RESEARCHER, Role.OPERATOR)
# What files cases and what moves them between clusters comes one after the other.
FILING_LOCK = 0x63617365  # "case"
MOST_MARKED = 200
HELD_OUT = "This request is held out for evaluation: nothing is proposed on it."


def _lines(text: Any) -> Any:
    """Forms end their lines as the web does."""
    return text.replace("\r\n", "\n") if isinstance(text, str) else text


class CaseText(Value):
    """An edge case as a person tells it: what was asked and answered, and why that is not settled."""

    prompt: Annotated[Prose, BeforeValidator(_lines)]
    response: Annotated[ClauseProse, BeforeValidator(_lines)]
    signal: Signal = Signal.REPORTED
    principle: PrincipleId
    why: Annotated[Prose, BeforeValidator(_lines)]
    label: Label = Label.UNKNOWN
    context: ScenarioContext = {}

    @property
    def scenario(self) -> ScenarioText:
        """The request alone."""
        return ScenarioText(prompt=self.prompt, label=self.label, principle=self.principle, context=self.context)


class CaseKnown(Refused):
    """The same signal on the same request under the same clause is known already: see `case`."""

    def __init__(self, case: EdgeCase) -> None:
        self.case = case
        super().__init__(f"Edge case {case.pk} has this request, with the same signal, under the same clause.")


Row = tuple[int, CaseText | ScenarioText]


def check_may_add(by: User) -> None:
    """Whoever judges or studies the law adds cases; who only oversees training does not."""
    if not by.has_role(*CURATORS, Role.BOARD):
        raise RoleMissing("Reviewers, board members and researchers add edge cases. An operator can give you a role.")


def check_may_mark(by: User) -> None:
    """Reviewers, researchers and operators say what a case is worth, and sort the clusters."""
    if not by.has_role(*CURATORS):
        raise RoleMissing("Reviewers and researchers mark and sort edge cases. An operator can give you such a role.")


@transaction.atomic
def add(*, text: CaseText, by: User) -> EdgeCase:
    """Add what `by` has seen, against the head version.

    Raises CaseKnown where it is there already, Refused where the clause is not in force or the request is held out.
    """
    check_may_add(by)
    if reason := Reserved(registered_entries()).why(text.prompt):
        raise Refused(f"Nothing is proposed on this request: {reason.sentence}.")
    filing = Filing(by=by, source=f"added by {by}")
    report = Report(format="form")
    filing.keep([(1, text)], report)
    for refusal in report.refusals:
        raise Refused(refusal.reason)
    case = filing.find(text)
    if report.duplicates:
        raise CaseKnown(case)
    ledger.append(action="edge case added", by=by, subject=f"edge-case:{case.pk}", detail={"signal": case.signal})
    announce("queue")
    return case


@transaction.atomic
def mark(
    *,
    cases: Sequence[EdgeCase],
    kind: MarkKind,
    by: User,
    duplicate_of: EdgeCase | None = None,
    signal: str = "",
    note: str = "",
) -> int:
    """Say what `by` holds of `cases`, in place of what they said before; how many were marked.

    `duplicate_of` comes with a duplicate, `signal` with a wrong one. Raises Refused where they are missing.
    """
    check_may_mark(by)
    _check_mark(cases, kind, duplicate_of, signal)
    said: dict[str, Any] = {"kind": kind, "note": written(note)[:500]}
    said["duplicate_of"] = duplicate_of if kind == MarkKind.DUPLICATE else None
    said["signal"] = signal if kind == MarkKind.WRONG_TYPE else ""
    said["weight"] = 2 if by.has_role(Role.OPERATOR) else 1
    CaseMark.objects.bulk_create(
        [CaseMark(case=case, person=by, **said) for case in cases],
        update_conflicts=True,
        unique_fields=["case", "person"],
        update_fields=[*said, "at"],
    )
    detail: dict[str, Any] = {"cases": [case.pk for case in cases], "mark": kind.value, "note": said["note"]}
    if kind == MarkKind.DUPLICATE and duplicate_of:
        detail["duplicate_of"] = duplicate_of.pk
    if kind == MarkKind.WRONG_TYPE:
        detail["signal"] = signal
    subject = f"edge-case:{cases[0].pk}" if len(cases) == 1 else "edge-cases"
    ledger.append(action="edge cases marked", by=by, subject=subject, detail=detail)
    return len(cases)


def _check_mark(cases: Sequence[EdgeCase], kind: MarkKind, duplicate_of: EdgeCase | None, signal: str) -> None:
    if not cases:
        raise Refused("Choose at least one edge case.")
    if len(cases) > MOST_MARKED:
        raise Refused(f"Mark at most {MOST_MARKED} at once.")
    if kind == MarkKind.DUPLICATE and duplicate_of is None:
        raise Refused("Say of which edge case it is a duplicate, by its number.")
    if kind == MarkKind.DUPLICATE and duplicate_of in cases:
        raise Refused("An edge case is no duplicate of itself; name the other one.")
    if kind == MarkKind.WRONG_TYPE and signal not in Signal.values:
        raise Refused("Say which signal it should have.")
    if kind == MarkKind.WRONG_TYPE and any(case.signal == signal for case in cases):
        raise Refused("That is the signal it has already.")


def wait_for_turn() -> None:
    """Until the end of the transaction nobody else files cases or moves them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FILING_LOCK])


def cluster_for(*, version: int, principle: str, signal: str) -> Cluster:
    """Where a new case of this signal under this principle goes; it may have been merged into another cluster.

    Nobody merges it before the end of the transaction.
    """
    wait_for_turn()
    found, _ = Cluster.objects.get_or_create(version_id=version, principle_id=principle, signal=signal, label="")
    return found.present


class Filing:
    """Keeps cases of one person against the head, batch by batch, within a transaction."""

    def __init__(self, *, by: User, source: str) -> None:
        head = Version.objects.head()
        if head is None:
            raise Refused("There is no constitution yet that an edge case could be of.")
        wait_for_turn()
        self.by, self.source, self.head = by, source[:200], head
        self.in_force = {clause.principle for clause in head.texts()}
        self._clusters: dict[tuple[str, str], Cluster] = {}

    def keep(self, rows: Sequence[Row], report: Report) -> None:
        """Store the rows that can be; the lines of the others go into the report, and nothing of them is kept."""
        texts = {
            line: row if isinstance(row, ScenarioText) else row.scenario for line, row in self._settled(rows, report)
        }
        fresh = self._add_scenarios(texts.values())
        scenarios = {row.digest: row for row in Scenario.objects.filter(digest__in={t.digest for t in texts.values()})}
        known = self._known(scenarios.values())
        made = []
        for line, row in rows:
            if line not in texts:
                continue
            scenario = scenarios[texts[line].digest]
            if isinstance(row, ScenarioText):
                self._count(line, report, is_known=scenario.digest not in fresh)
                fresh.discard(scenario.digest)
            elif scenario.held_out:
                report.refusals.append(Refusal(line, HELD_OUT))
            else:
                key = (scenario.pk, row.principle, row.signal.value)
                self._count(line, report, is_known=key in known)
                if key not in known:
                    known.add(key)
                    made.append(self._case(row, scenario))
        self._label(texts.values(), scenarios)
        EdgeCase.objects.bulk_create(made, batch_size=BATCH)

    def _settled(self, rows: Sequence[Row], report: Report) -> Iterator[Row]:
        """The rows whose clause is in force, or that name none."""
        for line, row in rows:
            if isinstance(row, CaseText) and row.principle not in self.in_force:
                sentence = f"{row.principle} is not in force in {self.head}; name a clause that is."
                report.refusals.append(Refusal(line, sentence))
            else:
                yield line, row

    def find(self, text: CaseText) -> EdgeCase:
        """The case that was kept, or that was there before."""
        return EdgeCase.objects.get(
            scenario__digest=text.scenario.digest,
            version=self.head,
            principle_id=text.principle,
            signal=text.signal,
        )

    def _count(self, line: int, report: Report, *, is_known: bool) -> None:
        if is_known:
            report.duplicates.append(line)
        else:
            report.accepted += 1

    def _add_scenarios(self, texts: Iterable[ScenarioText]) -> set[str]:
        """Make the scenarios that are not there; the digests of those."""
        wanted = {text.digest: text for text in texts}
        present = set(Scenario.objects.filter(digest__in=wanted).values_list("digest", flat=True))
        fresh = [text.row(self.source) for key, text in wanted.items() if key not in present]
        Scenario.objects.bulk_create(fresh, ignore_conflicts=True)
        return {row.digest for row in fresh}

    def _label(self, texts: Iterable[ScenarioText], scenarios: Mapping[str, Scenario]) -> None:
        """What a person says of a request that had no label is its label now; one that it has stays."""
        for label in (Label.HARMFUL, Label.BENIGN):
            rows = [scenarios[text.digest] for text in texts if text.label == label]
            bare = [row.pk for row in rows if row.label == Label.UNKNOWN]
            if bare:
                Scenario.objects.filter(pk__in=bare, label=Label.UNKNOWN).update(label=label)

    def _known(self, scenarios: Iterable[Scenario]) -> set[tuple[int, str, str]]:
        rows = EdgeCase.objects.filter(version=self.head, scenario__in=[row.pk for row in scenarios])
        return set(rows.values_list("scenario", "principle", "signal"))

    def _case(self, text: CaseText, scenario: Scenario) -> EdgeCase:
        key = (text.principle, text.signal.value)
        if key not in self._clusters:
            self._clusters[key] = cluster_for(version=self.head.pk, principle=key[0], signal=key[1])
        return EdgeCase(
            scenario=scenario,
            version=self.head,
            principle_id=text.principle,
            cluster=self._clusters[key],
            author=self.by,
            signal=text.signal,
            score=1.0,
            response=text.response,
            why=text.why,
        )
