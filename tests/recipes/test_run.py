import json
from collections.abc import Callable
from pathlib import Path

import pytest

from training.recipes import run as run_module
from training.recipes.files import Row, digest_folder, read_json, read_rows, write_json, write_rows
from training.recipes.plan import Plan
from training.recipes.run import Paused, Run, Stopped, conduct

Start = Callable[..., Path]


@pytest.fixture
def root(make_plan: Callable[..., Plan], start: Start) -> Path:
    return start(make_plan())


def events(root: Path) -> list[Row]:
    return [json.loads(line) for line in (root / "progress.jsonl").read_text().splitlines()]


def test_conduct_writes_done_last_and_returns_at_once_when_done(root: Path) -> None:
    calls = []

    def work(run: Run) -> Row:
        calls.append(run.stage)
        assert not (root / "label" / "done.json").exists()
        return {"pairs": 3}

    assert conduct("label", work, [str(root)]) == 0
    done = read_json(root / "label" / "done.json")
    assert done["pairs"] == 3
    assert done["seconds"] >= 0
    assert conduct("label", work, [str(root)]) == 0
    assert calls == ["label"]


def test_conduct_error_is_the_last_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_run: Run) -> Row:
        raise ValueError("The disk is made of cheese.")

    assert conduct("label", work, [str(root)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "label: The disk is made of cheese."
    assert not (root / "label" / "done.json").exists()


def test_conduct_without_a_run_directory_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct("label", lambda _run: {}, []) == 2
    assert "usage" in capsys.readouterr().err


def test_conduct_of_a_paused_round_stays_paused_until_acknowledged(root: Path) -> None:
    write_json(root / "pause.json", {"stage": "sft", "step": 10, "reason": "", "evidence": []})
    assert conduct("sft", lambda _run: {}, [str(root)]) == 75
    write_json(root / "acknowledged.json", {"looks": [5]})
    assert conduct("sft", lambda _run: {}, [str(root)]) == 75
    write_json(root / "acknowledged.json", {"looks": [5, 10]})
    assert conduct("sft", lambda _run: {}, [str(root)]) == 0


@pytest.mark.parametrize(("outcome", "status"), [(Stopped, 143), (Paused, 75)])
def test_conduct_outcomes_have_their_own_status(root: Path, outcome: type[Exception], status: int) -> None:
    def work(_run: Run) -> Row:
        raise outcome

    assert conduct("sft", work, [str(root)]) == status


def test_second_process_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LOCK_SECONDS", 0)

    def work(_run: Run) -> Row:
        assert conduct("label", lambda _run: {}, [str(root)]) == 1
        return {}

    assert conduct("label", work, [str(root)]) == 0


def test_events_are_told_once_and_survive_a_torn_line(root: Path) -> None:
    run = Run(root, "sft")
    run.progress(1, 4)
    run.point("loss", 1, 2.5)
    with (root / "progress.jsonl").open("a") as handle:
        handle.write('{"kind":"poi')
    again = Run(root, "sft")
    again.progress(1, 4)
    again.point("loss", 1, 2.5)
    again.point("loss", 2, 2.25)
    again.look(step=5, group="harmful", value=-0.2, low=-0.98, state="ok")
    assert events(root) == [
        {"kind": "progress", "stage": "sft", "step": 1, "total": 4},
        {"kind": "point", "stage": "sft", "series": "loss", "step": 1, "value": 2.5},
        {"kind": "point", "stage": "sft", "series": "loss", "step": 2, "value": 2.25},
        {
            "kind": "look",
            "stage": "sft",
            "step": 5,
            "measure": "refusal_margin",
            "group": "harmful",
            "value": -0.2,
            "low": -0.98,
            "high": None,
            "state": "ok",
        },
    ]


def test_chunks_that_are_done_are_not_done_again(root: Path) -> None:
    items = [{"n": number} for number in range(5)]
    seen: list[int] = []

    def double(number: int, chunk: list[Row]) -> list[Row]:
        seen.append(number)
        if len(seen) == 2:
            raise Stopped
        return [{"n": 2 * row["n"]} for row in chunk]

    with pytest.raises(Stopped):
        Run(root, "generate").in_chunks("numbers", items, 2, double)
    rows = Run(root, "generate").in_chunks("numbers", items, 2, double)
    assert rows == [{"n": 0}, {"n": 2}, {"n": 4}, {"n": 6}, {"n": 8}]
    assert seen == [0, 1, 1, 2]


def test_chunks_stop_between_chunks_when_asked(root: Path) -> None:
    run = Run(root, "generate")

    def work(_number: int, chunk: list[Row]) -> list[Row]:
        run.stopping = True
        return chunk

    with pytest.raises(Stopped):
        run.in_chunks("numbers", [{"n": 1}, {"n": 2}], 1, work)
    assert len(list((root / "generate" / "parts").iterdir())) == 1


def test_stage_needs_the_stage_before(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="needs the stage generate"):
        Run(root, "revise").of("generate", "plain.jsonl")


def test_rows_keep_every_character(tmp_path: Path) -> None:
    rows = [{"text": "line\u2028separator\r\n\x85 \u0000 end"}, {"text": '"}\n{"kind":"point"}'}]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows


def test_adapter_that_is_not_as_its_stage_left_it_is_not_loaded(root: Path) -> None:
    weights = root / "sft" / "adapter" / "adapter_model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"as trained")
    run = Run(root, "dpo")
    with pytest.raises(FileNotFoundError, match="not done"):
        run.adapter("sft")
    write_json(root / "sft" / "done.json", {"adapter": digest_folder(weights.parent, "*.safetensors")})
    assert run.adapter("sft") == weights.parent
    weights.write_bytes(b"as somebody else trained")
    with pytest.raises(ValueError, match="its digest differs"):
        run.adapter("sft")
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(ValueError, match="its digest differs"):
        run.adapter("sft")
