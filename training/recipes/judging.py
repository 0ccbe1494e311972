"""The round's judge: the one that the run directory names, the same for all its stages.

Without a choice it is the probe, fitted once by the frozen reference on the decided examples of the version, and kept.
It is never the model under training: what it sees of that model is text, and the states it reads are the reference's.
"""

import dataclasses
import os

from peft.tuners.tuners_utils import BaseTunerLayer

from training.engine.clauses import Clause as ShownClause
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.judges.choosing import Choice, choose
from training.engine.judges.contract import Judge
from training.engine.model import LanguageModel
from training.recipes.files import read_json
from training.recipes.plan import Clause
from training.recipes.run import Run


def round_judge(run: Run, reference: LanguageModel) -> Judge:
    """The judge that RUN/judge.json chooses. Raises JudgeError where that is the model that the round trains."""
    check_is_reference(reference)
    file = run.root / "judge.json"
    choice = Choice(**read_json(file)) if file.exists() else Choice()
    return choose(
        choice,
        reference=reference,
        name=run.plan.model,
        fit=lambda: fitted_probe(run, reference),
        key=os.environ.get("ENGINE_KEY", ""),
    )


def fitted_probe(run: Run, reference: LanguageModel) -> ProbeJudge:
    """The probe in RUN/judge, fitted there first if no stage has done it."""
    path = run.root / "judge" / "probe.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        clauses = [shown_clause(clause) for clause in run.plan.clauses]
        ProbeJudge.fit(reference, calibration_set(clauses)).save(path)
    return ProbeJudge.load(reference, path)


def check_is_reference(lm: LanguageModel) -> None:
    """A judge is never the model under training, nor one with an adapter that is not switched off."""
    adapted = (part for part in lm.model.modules() if isinstance(part, BaseTunerLayer))
    if "+" in lm.digest or any(not part.disable_adapters for part in adapted):
        raise ValueError("The judge must read with the frozen reference, not with a model under training.")


def shown_clause(clause: Clause, *, expects: str | None = None) -> ShownClause:
    """A clause as prompts show it, with all its examples or only those that expect one thing."""
    row = dataclasses.asdict(clause)
    row["examples"] = [e for e in row["examples"] if expects in (None, e["expects"])]
    return ShownClause.of(row)
