import html
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from constitution.models import Role, User
from tests.factories import make_user
from training import actions, leases, progress, runner
from training.actions import Outcome
from training.models import Arm, Checkpoint, Evaluation, JudgeCard, Round, Transcript
from training.recipes.plan import STAGES
from training.states import ABORTED, PAUSED, QUEUED
from training.views import report

pytestmark = pytest.mark.django_db

NOTE = "It may go on."
SECONDS = {name: 10.4 + number for number, name in enumerate(STAGES)}
SHARE = {"value": 0.9, "low": 0.8, "high": 0.95}


@pytest.fixture
def client(client: Client, overseer: User) -> Client:
    client.force_login(overseer)
    return client


def page(client: Client, round_: Round, **headers: str) -> str:
    answer = client.get(reverse("training:round-detail", args=[round_.pk]), headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def rate(round_: Round, measure: str, arm: Arm, k: int, *, n: int = 20, unscored: int = 0) -> Evaluation:
    low, high = k / n / 2, (1 + k / n) / 2
    return Evaluation(
        round=round_, measure=measure, arm=arm, k=k, n=n, unscored=unscored, low=low, high=high, judge="probe-1", seed=1
    )


def finish(round_: Round, *, unscored: int = 0) -> Round:
    transcript = Transcript(
        round=round_,
        key="a",
        label="benign",
        prompt="How do I paint <b>a house</b>?",
        reference="With a brush.",
        trained="I can't help.",
        reference_refuses=False,
        trained_refuses=None,
    )
    outcome = Outcome(
        result={"judge": "probe-1", "seed": 1, "device": "cpu", "seconds": SECONDS},
        data_card=[{"stage": "revise", "kept": 1200, "dropped": {"too long": 3}, "seconds": 12.5}],
        evaluations=[
            rate(round_, "harmful_answered", Arm.REFERENCE, 19),
            rate(round_, "harmful_answered", Arm.TRAINED, 10, unscored=unscored),
            rate(round_, "benign_refused", Arm.REFERENCE, 1),
            rate(round_, "benign_refused", Arm.TRAINED, 2),
        ],
        transcripts=[transcript],
        checkpoint=Checkpoint(round=round_, path="rounds/1/dpo/adapter", digest="d" * 64),
    )
    return actions.finish(round_=round_, outcome=outcome)


def write_progress(round_: Round, *events: dict[str, object]) -> None:
    from training.runner import folder_of

    folder = folder_of(round_)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "progress.jsonl").open("a") as stream:
        stream.writelines(json.dumps(event) + "\n" for event in events)
    progress.drain(round_, folder / "progress.jsonl")


LOOK = {"kind": "look", "stage": "sft", "measure": "refusal_margin", "low": -0.98, "high": None, "state": "ok"}


def test_list_of_rounds_is_empty_at_first(client: Client) -> None:
    assert "A round opens by itself" in client.get(reverse("training:rounds")).content.decode()


def test_list_of_rounds_shows_progress_and_outcome(client: Client, claimed_round: Round) -> None:
    write_progress(claimed_round, {"kind": "progress", "stage": "sft", "step": 12, "total": 50})
    assert "step 12 of 50" in client.get(reverse("training:rounds")).content.decode()
    finish(claimed_round)
    assert "19 of 20 before, 10 of 20 after" in client.get(reverse("training:rounds")).content.decode()


def test_page_of_a_queued_round(client: Client, queued_round: Round) -> None:
    assert "as soon as a gpu worker is free" in page(client, queued_round)


def test_page_of_a_running_round_shows_curves(client: Client, claimed_round: Round) -> None:
    write_progress(
        claimed_round,
        {"kind": "progress", "stage": "sft", "step": 2, "total": 4},
        {"kind": "point", "stage": "sft", "series": "loss", "step": 1, "value": 2.5},
        {"kind": "point", "stage": "sft", "series": "loss", "step": 1, "value": 2.25},
        {**LOOK, "step": 2, "group": "harmful", "value": -0.2},
        {**LOOK, "step": 2, "group": "benign", "value": 0.1, "low": None},
    )
    answer = client.get(reverse("training:round-series", args=[claimed_round.pk]))
    loss, margin = answer.json()["curves"]
    point = {"step": 1, "value": 2.25, "low": None, "high": None, "state": ""}
    assert loss["series"] == [{"label": "SFT", "points": [point]}]
    assert [series["label"] for series in margin["series"]] == ["harmful", "benign"]
    assert "2 of 4" in page(client, claimed_round)


def test_progress_is_taken_over_once_and_a_torn_line_waits(claimed_round: Round) -> None:
    from training.runner import folder_of

    write_progress(claimed_round, {"kind": "progress", "stage": "sft", "step": 1, "total": 4})
    file = folder_of(claimed_round) / "progress.jsonl"
    assert not progress.drain(claimed_round, file)
    line = json.dumps({"kind": "progress", "stage": "sft", "step": 2, "total": 4}) + "\n"
    with file.open("a") as stream:
        stream.write(line[:20])
    assert not progress.drain(claimed_round, file)
    with file.open("a") as stream:
        stream.write(line[20:])
    assert progress.drain(claimed_round, file)
    claimed_round.refresh_from_db()
    assert claimed_round.step == 2


def test_fragment_is_the_part_of_the_page_that_htmx_asks_for(client: Client, claimed_round: Round) -> None:
    part = page(client, claimed_round, hx_request="true", hx_target="round-status")
    assert part.strip().startswith('<section id="round-status"')
    assert part.strip() in page(client, claimed_round)


def outside(client: Client, round_: Round) -> str:
    """What of the page no live update replaces. The curves draw themselves anew (static/charts.js)."""
    rest = _without_chance(page(client, round_))
    rest, curves = re.subn(r'<section aria-labelledby="curves-title">.*?</section>', "", rest, flags=re.DOTALL)
    names = re.findall(r'<\w+ id="([\w-]+)"[^>]* data-live-topic="round[^"]*" hx-get="/rounds/\d+/"', rest)
    assert (curves, names) == (1, ["round-status", "round-result", "round-record"])
    for name in names:
        part = _without_chance(page(client, round_, hx_request="true", hx_target=name)).strip()
        assert part in rest
        rest = rest.replace(part, "")
    return rest


def _without_chance(text: str) -> str:
    """Without tokens, which differ each time, and times that are told in words."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"|<time .*?</time>', "", text)


def test_page_that_is_kept_up_with_is_that_of_a_reload(client: Client, queued_round: Round, overseer: User) -> None:
    """Whatever becomes of a round, all that changes on its page lies in parts that fetch themselves again."""
    before = outside(client, queued_round)
    claimed = leases.claim(Round)
    assert claimed is not None
    assert outside(client, claimed) == before
    actions.pause(round_=claimed, pause={"stage": "sft", "step": 2, "reason": "It fell.", "evidence": []})
    assert outside(client, claimed) == before
    actions.resume(round_=claimed, by=overseer, note=NOTE)
    again = leases.claim(Round)
    assert again is not None
    finish(again)
    assert outside(client, again) == before


def test_panel_under_somebodys_hands_hears_of_another_state_and_of_no_step(claimed_round: Round) -> None:
    with CaptureQueriesContext(connection) as step:
        write_progress(claimed_round, {"kind": "progress", "stage": "sft", "step": 1, "total": 4})
    with CaptureQueriesContext(connection) as end:
        finish(claimed_round)
    told = [[row["sql"] for row in queries if "pg_notify" in row["sql"]] for queries in (step, end)]
    assert [any(f"round:{claimed_round.pk}" in sql for sql in sqls) for sqls in told] == [True, True]
    assert [any(f"round-state:{claimed_round.pk}" in sql for sql in sqls) for sqls in told] == [False, True]


def test_finished_round_says_how_long_each_stage_took(client: Client, claimed_round: Round) -> None:
    assert report.context(claimed_round, make_user("rita"))["stages"][3]["seconds"] is None
    finish(claimed_round)
    stages = report.context(Round.objects.get(), make_user("rudi"))["stages"]
    assert [stage["seconds"] for stage in stages] == [10, 11, 12, 13, 14, 15]


def test_page_of_a_paused_round_shows_evidence_and_both_decisions(client: Client, paused_round: Round) -> None:
    text = page(client, paused_round)
    assert "The refusal margin fell by 1.20 nats." in text
    assert "With a crowbar." in text
    assert text.count("disabled aria-describedby") == 1, "nothing was looked at, so there is nothing to roll back to"
    assert "so there is nothing to roll back to." in text


def test_page_of_a_paused_round_disables_what_the_viewer_may_not_do(client: Client, paused_round: Round) -> None:
    client.force_login(make_user("rita", Role.REVIEWER))
    text = page(client, paused_round)
    assert text.count("disabled aria-describedby") == 3
    assert "Only overseers resume a paused round." in text


def test_page_of_a_finished_round_escapes_what_models_and_files_say(client: Client, claimed_round: Round) -> None:
    text = page(client, finish(claimed_round))
    assert "19 of 20 before, 10 of 20 after" in text
    assert "&lt;b&gt;a house&lt;/b&gt;" in text
    assert "too long (3)" in text
    assert "advisory" in text


def test_result_with_many_unscored_answers_is_shown_as_not_certified(client: Client, claimed_round: Round) -> None:
    round_ = finish(claimed_round, unscored=5)
    assert "Not certified (harmful requests answered)" in page(client, round_)
    evaluations = list(round_.evaluations.all())
    assert [row["label"] for row in report.before_and_after(evaluations)] == ["Harmless requests declined"]


def test_pages_of_failed_and_aborted_rounds_say_why(client: Client, claimed_round: Round, overseer: User) -> None:
    actions.fail(job=claimed_round, error="sft: The disk is full.")
    assert "The disk is full." in page(client, claimed_round)
    actions.abort(round_=claimed_round, by=overseer, note="No room.")
    assert "olga aborted it: No room." in page(client, claimed_round)


def test_resume_by_form(client: Client, paused_round: Round) -> None:
    answer = client.post(reverse("training:round-resume", args=[paused_round.pk]), {"note": NOTE})
    assert answer.status_code == 302
    paused_round.refresh_from_db()
    assert paused_round.state == QUEUED


def test_abort_by_htmx_goes_back_to_the_page(client: Client, paused_round: Round) -> None:
    address = reverse("training:round-abort", args=[paused_round.pk])
    answer = client.post(address, {"note": NOTE}, headers={"hx-request": "true", "hx-target": "round-status"})
    assert answer["HX-Redirect"] == reverse("training:round-detail", args=[paused_round.pk])
    paused_round.refresh_from_db()
    assert paused_round.state == ABORTED


def test_refused_decision_keeps_the_note(client: Client, paused_round: Round) -> None:
    client.force_login(make_user("rita", Role.REVIEWER))
    answer = client.post(reverse("training:round-resume", args=[paused_round.pk]), {"note": NOTE})
    assert answer.status_code == 403
    assert NOTE in answer.content.decode()
    paused_round.refresh_from_db()
    assert paused_round.state == PAUSED


def test_decision_by_get_is_refused(client: Client, paused_round: Round) -> None:
    assert client.get(reverse("training:round-resume", args=[paused_round.pk])).status_code == 405


def test_judges_show_their_newest_card(client: Client) -> None:
    assert "No judge has been measured yet." in client.get(reverse("training:judges")).content.decode()
    metrics = dict.fromkeys(("auc", "sensitivity", "specificity", "coverage"), SHARE) | {"n": 300}
    for dataset in ("decided examples, cross-validated", "XSTest"):
        JudgeCard.objects.create(
            judge="probe-1", calibration_digest="c" * 64, dataset=dataset, metrics=metrics, advisory=False
        )
    text = client.get(reverse("training:judges")).content.decode()
    assert "probe-1" in text
    assert "may gate" in text


def test_pages_ask_the_database_a_fixed_number_of_questions(
    client: Client, claimed_round: Round, django_assert_max_num_queries: object
) -> None:
    finish(claimed_round)
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        client.get(reverse("training:rounds"))
    # One question each for the last promoted, what was foretold, and the judge's errors.
    with django_assert_max_num_queries(18):  # type: ignore[operator]
        page(client, claimed_round)
    assert leases.claim(Round) is None


def test_failed_round_is_retried_by_an_operator_from_its_page(client: Client, claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="sft: The disk is full.")
    assert "Try this round again" not in page(client, claimed_round), "overseers do not retry"
    client.force_login(make_user("oskar", Role.OPERATOR))
    assert "Try this round again" in page(client, claimed_round)

    client.post(reverse("training:round-retry", args=[claimed_round.pk]), {"note": "There is room again."})

    claimed_round.refresh_from_db()
    assert claimed_round.state == QUEUED


def test_running_round_can_be_stopped_from_its_page(client: Client, claimed_round: Round) -> None:
    assert "Stop this round" in page(client, claimed_round)

    client.post(reverse("training:round-abort", args=[claimed_round.pk]), {"note": "A wrong version."})

    claimed_round.refresh_from_db()
    assert claimed_round.state == ABORTED
    assert "Stop this round" not in page(client, claimed_round)


# The log


HOSTILE = '</pre><script>alert(1)</script> & <b>"bold"</b>\n'


def say(round_: Round, text: str | bytes) -> None:
    file = runner.folder_of(round_) / "log.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())


def more_of_log(client: Client, round_: Round, after: int | str) -> tuple[int, str]:
    answer = client.get(reverse("training:round-log", args=[round_.pk]), {"after": after})
    return answer.status_code, answer.content.decode()


def where_it_goes_on(text: str) -> int:
    found = re.search(r"log/\?after=(\d+)", text)
    assert found is not None
    return int(found[1])


def test_log_goes_on_where_the_page_ended(client: Client, claimed_round: Round) -> None:
    assert where_it_goes_on(page(client, claimed_round)) == 0
    say(claimed_round, f"Loading é.\n{HOSTILE}")
    text = page(client, claimed_round)
    assert "Loading é.\n&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in text
    assert "<script>alert" not in text
    end = where_it_goes_on(text)
    assert more_of_log(client, claimed_round, end) == (204, "")
    say(claimed_round, f"Step 2.\n{HOSTILE}")
    status, part = more_of_log(client, claimed_round, end)
    assert status == 200
    assert part.startswith("Step 2.\n&lt;/pre&gt;&lt;script&gt;")
    assert part.endswith("</span>"), "no line is put in between"
    assert "Loading" not in part
    assert "<script>" not in part
    assert more_of_log(client, claimed_round, where_it_goes_on(part)) == (204, "")
    everything = html.unescape(re.sub(r"<span .*?</span>", "", more_of_log(client, claimed_round, 0)[1]))
    assert everything == f"Loading é.\n{HOSTILE}Step 2.\n{HOSTILE}"


def test_log_tells_so_much_at_once_and_what_no_text_is_harms_nothing(client: Client, claimed_round: Round) -> None:
    say(claimed_round, b"\xff\x00\xf0" + b"x" * runner.LOG_TAIL)
    for after in (0, 1, -1, "x", ""):
        status, part = more_of_log(client, claimed_round, after)
        assert status == 200
        assert part.count("x" * 100) > 0
        assert len(part) < runner.LOG_TAIL + 400
    assert more_of_log(client, claimed_round, 1)[1].startswith(runner.LEFT_OUT), "something was left out in between"
    for after in (10**6, 10**17, 10**30):
        assert more_of_log(client, claimed_round, after)[0] == (204 if after < 10**18 else 200)


def test_log_of_no_round_is_not_found(client: Client, claimed_round: Round) -> None:
    assert client.get(reverse("training:round-log", args=[claimed_round.pk + 1])).status_code == 404
    assert client.post(reverse("training:round-log", args=[claimed_round.pk])).status_code == 405


def test_pages_are_told_of_the_log_when_it_grew_alone(claimed_round: Round) -> None:
    say(claimed_round, "One.\n")
    with CaptureQueriesContext(connection) as first:
        told = runner._tell_of_log(claimed_round, 0)
    with CaptureQueriesContext(connection) as second:
        assert runner._tell_of_log(claimed_round, told) == told == 5
    assert [row["sql"] for row in first if f"round-log:{claimed_round.pk}" in row["sql"]]
    assert len(second) == 0
