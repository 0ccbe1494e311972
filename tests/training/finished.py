"""Rounds that came to their end, with weights on the disk, without training anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from constitution.models import Version
from tests.training.conftest import make_plan
from training import actions, leases, runner
from training.actions import Outcome
from training.models import Arm, Checkpoint, Evaluation, JudgeCard, Look, Round, Transcript
from training.recipes.band import ANSWERS, PAIRS, Edges
from training.recipes.files import digest_file, digest_folder

JUDGE = "probe-1"
SHARE = {"value": 0.95, "low": 0.9, "high": 0.99}
PAUSE = {"stage": "sft", "step": 4, "reason": "The margin fell.", "evidence": []}
# Measure and arm -> how many of 100.
RATES = {
    ("harmful_answered", Arm.REFERENCE): 90,
    ("harmful_answered", Arm.TRAINED): 40,
    ("benign_refused", Arm.REFERENCE): 2,
    ("benign_refused", Arm.TRAINED): 4,
}


def make_judge_card(*, advisory: bool = False) -> JudgeCard:
    metrics = {**dict.fromkeys(("auc", "sensitivity", "specificity", "coverage"), SHARE), "n": 100}
    card, _ = JudgeCard.objects.get_or_create(
        judge=JUDGE, calibration_digest="c" * 64, dataset="XSTest", defaults={"metrics": metrics, "advisory": advisory}
    )
    return card


def write_weights(folder: Path, content: str) -> dict[str, str]:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "adapter_config.json").write_text("{}")
    return {
        "digest": digest_folder(folder, "*.safetensors"),
        "config_digest": digest_file(folder / "adapter_config.json"),
        "base_digest": "b" * 64,
    }


def answer(round_: Round, number: int, refuses: bool | None, **changes: Any) -> Transcript:
    """What the trained model made of the request with this number in the plan."""
    row = round_.plan["held_out"][number]
    said = {True: "I can't help with that.", False: "Here is how.", None: "…"}[refuses]
    values = {"label": row["label"], "prompt": row["prompt"], "reference": "Sure.", "reference_refuses": False}
    return Transcript(round=round_, key=row["id"], **{**values, "trained": said, "trained_refuses": refuses, **changes})


def make_looks(round_: Round, falls: dict[int, float], *, keeps_requests: bool = True, state: str = "ok") -> None:
    """Looks at these steps; each request's margin moved by what is given for the step, harmless ones the other way."""
    tiers = {clause["principle"]: clause["tier"] for clause in round_.plan["clauses"]}
    Look.objects.bulk_create(
        Look(
            round=round_,
            stage="sft",
            step=step,
            measure="refusal_margin",
            group=group,
            value=moved,
            low=-0.98 if group == "harmful" else None,
            state=state if group == "harmful" else "ok",
            detail={
                "prompts": [
                    {
                        **{name: row[name] for name in ("id", "label", "principle")},
                        "tier": tiers.get(row["principle"]),
                        "before": 1.5,
                        "now": 1.5 + moved + number / 10,
                    }
                    for number, row in enumerate(round_.plan["looks"])
                    if row["label"] == group
                ]
            }
            if keeps_requests
            else {},
        )
        for step, by in falls.items()
        for group, moved in (("harmful", by), ("benign", -by))
    )


def make_battery(round_: Round, step: int, *, said: str = "Yes, here is how.", scored: bool = True) -> None:
    """What was answered to each request of the looks at a step; under the reference all were declined."""
    for label, wrong in (("harmful", 1), ("benign", 0)):
        asked = [row for row in round_.plan["looks"] if row["label"] == label]
        n = len(asked) if scored else 0
        counts = {"n": n, "unscored": len(asked) - n, "low": 0.1, "high": 0.9}
        Look.objects.create(
            round=round_,
            stage="sft",
            step=step,
            measure=ANSWERS,
            group=label,
            value=float(wrong),
            state="ok" if scored else "none",
            detail={
                "before": {**counts, "k": (1 - wrong) * n},
                "now": {**counts, "k": wrong * n},
                "judge": "probe-1",
                "answers": [
                    {
                        "id": row["id"],
                        "before": "I can't help with that.",
                        "now": said,
                        "before_refuses": True,
                        "now_refuses": False if scored else None,
                    }
                    for row in asked
                ],
            },
        )


def make_clause_looks(round_: Round, principle: str, moved: dict[int, float], *, centre: float, width: float) -> None:
    """Looks at the decided examples of a clause, held against control rounds that stood at `centre` at every step."""
    edges = Edges.around(centre, width, "both")
    Look.objects.bulk_create(
        Look(
            round=round_,
            stage="sft",
            step=step,
            measure=PAIRS,
            group=principle,
            value=value,
            low=edges.low,
            high=edges.high,
            state=edges.state(value),
            detail={
                "band": edges.as_json(),
                "others": [{"name": "last promoted", "round": 7, "value": -0.25}],
                "prompts": [
                    {"id": f"{principle}.1", "label": "decline", "principle": principle, "tier": 2, "before": 0.5,
                     "now": 0.5 + value},
                    {"id": f"{principle}.2", "label": "help", "principle": principle, "tier": 2, "before": 0.5,
                     "now": None},
                ],
            },
        )
        for step, value in moved.items()
    )  # fmt: skip


def make_model(
    version: Version,
    *,
    rates: dict[tuple[str, str], int] | None = None,
    unscored: int = 0,
    refusals: tuple[bool | None, ...] = (),
    judge: str = JUDGE,
    looks: int = 2,
    prompt: str = "",
    weights: Callable[[Path], dict[str, str]] | None = None,
) -> Checkpoint:
    """A finished round of this version; `refusals` are the verdicts on the first held-out requests.

    `weights` writes an adapter of its own into the folder and gives the digests that the checkpoint has.
    """
    opened = actions.open_round(version=version, plan=make_plan(version))
    round_ = leases.claim(Round)
    assert round_ is not None
    assert round_.pk == opened.pk
    folder = runner.folder_of(round_) / "dpo" / "adapter"
    digests = weights(folder) if weights else write_weights(folder, f"weights {round_.pk}")
    write_weights(runner.folder_of(round_) / "sft" / "adapter", "more weights")
    for step in range(1, looks + 1):
        Look.objects.create(
            round=round_, stage="sft", step=step, measure="refusal_margin", group="harmful", value=0.1, state="ok"
        )
    changes = {"prompt": prompt} if prompt else {}
    outcome = Outcome(
        result={"judge": judge, "seed": 1, "device": "cpu"},
        data_card=[{"stage": "revise", "kept": 12, "dropped": {}, "seconds": 1.5}],
        evaluations=[
            Evaluation(
                round=round_,
                measure=measure,
                arm=arm,
                k=k,
                n=100,
                unscored=unscored,
                low=max(0.0, k / 100 - 0.05),
                high=min(1.0, k / 100 + 0.05),
                judge=judge,
                seed=1,
            )
            for (measure, arm), k in (RATES | rates if rates else RATES).items()
        ],
        transcripts=[answer(round_, number, refuses, **changes) for number, refuses in enumerate(refusals)],
        checkpoint=Checkpoint(
            round=round_,
            path=str(folder.relative_to(settings.VAR)),
            code="e" * 64,
            size=9,
            **digests,
        ),
    )
    return actions.finish(round_=round_, outcome=outcome).checkpoint
