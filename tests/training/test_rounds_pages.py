"""Rounds beside each other and over versions, and how the looks of one went."""

import html
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amendments.models import Scenario
from constitution.models import User, Version
from tests.training.conftest import make_plan
from tests.training.finished import make_battery, make_clause_looks, make_looks, make_model
from training import actions, batteries, promotion
from training.models import Checkpoint, Round
from training.plan_changes import Difference, differences
from training.views import drift_parts, plots

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scenarios")]

HOSTILE = "<script>alert(1)</script> & <b>bold</b>?"


@pytest.fixture
def client(client: Client, overseer: User) -> Client:
    client.force_login(overseer)
    return client


@pytest.fixture
def make(second_version: Version, scenarios: list[Scenario]) -> Callable[..., Checkpoint]:
    return lambda **changes: make_model(second_version, **{"refusals": (True, False), **changes})


def page(client: Client, name: str, *args: int, status: int = 200, query: str = "") -> str:
    answer = client.get(reverse(f"training:{name}", args=args) + query)
    assert answer.status_code == status
    return answer.content.decode()


def queries(client: Client, name: str, *args: int) -> int:
    with CaptureQueriesContext(connection) as found:
        page(client, name, *args)
    return len(found)


def test_drift_before_the_first_look(client: Client, queued_round: Round) -> None:
    assert "No look yet." in page(client, "round-drift", queued_round.pk)
    assert page(client, "round-drift", queued_round.pk + 1, status=404)


def test_drift_shows_each_component_against_its_band(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {2: -0.2, 4: -1.3}, state="fail")
    text = page(client, "round-drift", claimed_round.pk)
    for words in ("Harmful requests", "Harmless requests", "By tier", "By principle", "outside its band", "-0.98"):
        assert words in text
    assert 'href="?label=harmful&amp;step=4#moved"' in text
    assert "What moved most at step 4" in text


def test_point_leads_to_the_requests_that_moved_most(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {2: -0.2, 4: -1.3})
    harmful = [row for row in claimed_round.plan["looks"] if row["label"] == "harmful"]
    text = page(client, "round-drift", claimed_round.pk, query="?label=harmful&step=2")
    assert "What moved most at step 2" in text
    assert f"n = {len(harmful)}." in text
    place = claimed_round.plan["looks"].index(harmful[0])
    assert f"1.50 under the reference, {1.3 + place / 10:.2f} now" in text
    assert text.count("Show the request, which may be harmful") == len(harmful)
    one = page(
        client, "round-drift", claimed_round.pk, query=f"?label=harmful&step=2&principle={harmful[0]['principle']}"
    )
    assert one.count("Show the request, which may be harmful") == sum(
        row["principle"] == harmful[0]["principle"] for row in harmful
    )
    assert 'aria-current="true"' in one
    assert "No look measured this component" in page(
        client, "round-drift", claimed_round.pk, query="?label=benign&principle=X-99&step=x"
    )


def test_point_leads_to_what_was_answered_before_and_at_the_nearest_battery(
    client: Client, claimed_round: Round
) -> None:
    make_looks(claimed_round, {2: -0.2, 4: -1.3, 20: -1.4})
    make_battery(claimed_round, 4, said="At step four.")
    before = queries(client, "round-drift", claimed_round.pk)
    make_battery(claimed_round, 25, said=HOSTILE)
    assert queries(client, "round-drift", claimed_round.pk) == before
    text = page(client, "round-drift", claimed_round.pk, query="?label=harmful&step=2")
    assert "At step four." in text
    assert "What was answered, which may be harmful" in text
    assert "Step 25, Fine-tuning (SFT)" in text
    text = page(client, "round-drift", claimed_round.pk, query="?label=harmful&step=20")
    assert html.escape(HOSTILE) in text
    assert HOSTILE not in text


def test_battery_that_was_not_scored_is_no_rate(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {4: -1.3})
    make_battery(claimed_round, 4, scored=False)
    text = page(client, "round-drift", claimed_round.pk)
    assert text.count("nothing was scored") == 4
    assert "0.0 %" not in text


def test_pause_says_what_it_answers(client: Client, claimed_round: Round) -> None:
    make_battery(claimed_round, 4)
    answered = [
        {"label": look.group, **{name: look.detail[name] for name in ("before", "now", "judge")}}
        for look in claimed_round.looks.order_by("-group")
    ]
    pause = {"stage": "sft", "step": 4, "reason": "It fell.", "evidence": [], "answered": answered}
    actions.pause(round_=claimed_round, pause=pause)
    text = page(client, "round-detail", claimed_round.pk)
    assert "What it answers to the requests of the looks" in text
    assert "Judged by probe-1" in text
    assert f"/rounds/{claimed_round.pk}/drift/?step=4#moved" in text


def test_drift_of_a_round_that_kept_means_alone(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {2: -0.2}, keeps_requests=False)
    text = page(client, "round-drift", claimed_round.pk)
    assert "This round kept the means alone" in text
    assert "By principle" not in text


def test_drift_takes_the_same_queries_for_many_looks(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {1: 0.1})
    before = queries(client, "round-drift", claimed_round.pk)
    make_looks(claimed_round, dict.fromkeys(range(2, 20), 0.1))
    assert queries(client, "round-drift", claimed_round.pk) == before


def test_band_that_follows_is_drawn_and_a_look_outside_is_explained(client: Client, claimed_round: Round) -> None:
    clause = next(row for row in claimed_round.plan["clauses"] if row["tier"] == 2)
    make_looks(claimed_round, {2: -0.2, 4: -0.3})
    make_clause_looks(claimed_round, clause["principle"], {2: 0.9, 4: 0.1}, centre=1.0, width=0.4)
    text = page(client, "round-drift", claimed_round.pk)
    assert text.count('class="plot-band"') == 2
    assert "Held against benign control rounds at the same step" in text
    assert "No control round was measured" not in text
    assert "Where it left its band" in text
    assert f"Step 4, {clause['principle']}" in text
    assert "moved by +0.10 nats a token against the frozen reference; in benign rounds it had moved by +1.00" in text
    assert "at most 0.60 more or less is allowed" in text
    assert "0.40 to 1.60" in text
    assert "Against the last promoted, round 7" in text
    one = page(client, "round-drift", claimed_round.pk, query=f"?label=decided&principle={clause['principle']}&step=4")
    assert clause["examples"][0]["request"] in html.unescape(one)
    assert "expects to decline" in one


def test_round_without_control_rounds_says_so(client: Client, claimed_round: Round) -> None:
    make_looks(claimed_round, {2: -1.3}, state="fail")
    text = page(client, "round-drift", claimed_round.pk)
    assert "No control round was measured" in text
    assert "The mean moved by -1.30 nats" in text
    assert 'class="plot-band"' not in text


def test_mean_has_an_interval_where_there_are_enough() -> None:
    found = drift_parts.mean([1.0, 2.0, 3.0, 4.0])
    assert (found.value, found.n) == (2.5, 4)
    assert found.low == pytest.approx(0.446, abs=1e-3)
    assert drift_parts.mean([1.0, 2.0, 3.0]).low is None
    with pytest.raises(ValueError, match="nothing"):
        drift_parts.mean([])


def test_plot_stays_within_its_frame_and_thins_its_labels() -> None:
    marks = [plots.Mark(str(number), number, "", "", low=-5, high=99) for number in range(30)]
    drawn = plots.draw(marks, [plots.Line("zero", 0, "0")], plots.scale([mark.value for mark in marks]))
    assert all(plots.LEFT < mark["x"] < 100 and 0 < mark["y"] < drawn["height"] for mark in drawn["marks"])
    assert all(0 <= mark[name] <= drawn["height"] for mark in drawn["marks"] for name in ("y_low", "y_high"))
    assert len([mark for mark in drawn["marks"] if mark["label"]]) <= plots.MOST_LABELS
    assert len(drawn["paths"]) == 29


def test_round_stands_against_reference_and_last_promoted(
    client: Client, make: Callable[..., Checkpoint], overseer: User
) -> None:
    first = make()
    assert "No other model had been promoted" in page(client, "round-detail", first.round_id)
    promotion.promote(checkpoint=first, by=overseer, seen=None, note="Good.", override=True)
    second = make(rates={("harmful_answered", "trained"): 20})
    text = page(client, "round-detail", second.round_id)
    assert "Last promoted before this round ended" in text
    assert "-20 points, -32 to -7" in text
    assert "compared with round" in text


def test_round_is_laid_beside_the_last_one_that_finished(
    client: Client, make: Callable[..., Checkpoint], second_version: Version, overseer: User
) -> None:
    first = make()
    assert "compared with round" not in page(client, "round-detail", first.round_id)
    aborted = actions.open_round(version=second_version, plan=make_plan(second_version))
    actions.abort(round_=aborted, by=overseer, note="Begun by mistake.")
    text = page(client, "round-detail", make().round_id)
    assert f"compared with round {first.round_id}" in text


def test_last_promoted_that_was_asked_otherwise_is_not_compared(
    client: Client, make: Callable[..., Checkpoint], overseer: User
) -> None:
    promotion.promote(checkpoint=make(refusals=(True,)), by=overseer, seen=None, note="Good.", override=True)
    text = page(client, "round-detail", make().round_id)
    assert "They were asked different requests: 1 and 2." in text
    assert "<td>Last promoted</td>" not in text


def test_rate_that_is_not_certified_is_compared_with_none(client: Client, make: Callable[..., Checkpoint]) -> None:
    text = page(client, "round-detail", make(unscored=20).round_id)
    assert "not certified</span>" in text
    assert " points, " not in text


def test_batteries_say_why_they_differ(make: Callable[..., Checkpoint]) -> None:
    one, same, judged, silent = make(), make(), make(judge="probe-2"), make(refusals=())
    found = batteries.of([row.round_id for row in (one, same, judged, silent)])
    mine = found[one.round_id]
    assert batteries.why_not_comparable(mine, found[same.round_id]) == ""
    assert "probe-1 and probe-2" in batteries.why_not_comparable(mine, found[judged.round_id])
    assert "kept no answers" in batteries.why_not_comparable(mine, found[silent.round_id])


def test_two_rounds_are_picked_on_the_list(client: Client, make: Callable[..., Checkpoint]) -> None:
    assert "Show what differs" not in page(client, "rounds")
    old, new = make(), make()
    assert "Show what differs" in page(client, "rounds")
    answer = client.get(reverse("training:round-choose"), {"old": new.round_id, "new": old.round_id})
    assert answer["Location"] == reverse("training:round-changes", args=[old.round_id, new.round_id])
    answer = client.get(reverse("training:round-choose"), {"old": new.round_id, "new": new.round_id}, follow=True)
    assert "Pick two different rounds" in answer.content.decode()


def test_rounds_beside_each_other(client: Client, make: Callable[..., Checkpoint], reviewer: User) -> None:
    old, new = make(), make(refusals=(False, False), rates={("harmful_answered", "trained"): 30})
    text = page(client, "round-changes", old.round_id, new.round_id)
    assert "the same constitution, requests, seed and settings" in text
    assert "equally many rows" in text
    assert f"Round {old.round_id}, before" in text
    assert text.count("another verdict</span>") == 1
    assert "2 requests asked of both" in text
    assert "cannot be compared" not in text
    assert page(client, "round-changes", old.round_id, new.round_id + 1, status=404)


def test_rounds_beside_each_other_take_the_same_queries(client: Client, make: Callable[..., Checkpoint]) -> None:
    few, many = [make(), make()], [make(refusals=(True,) * 8), make(refusals=(False,) * 8)]
    assert queries(client, "round-changes", *(row.round_id for row in few)) == queries(
        client, "round-changes", *(row.round_id for row in many)
    )


def test_hostile_request_is_text_beside_each_other(client: Client, make: Callable[..., Checkpoint]) -> None:
    old, new = make(prompt=HOSTILE, refusals=(True,)), make(prompt=HOSTILE, refusals=(False,))
    text = page(client, "round-changes", old.round_id, new.round_id)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in text
    assert HOSTILE not in text


def test_plans_that_differ_say_so_in_words() -> None:
    clause = {"principle": "U-02", "tier": 1, "title": "Care", "text": "Be kind.", "examples": [1]}
    old = {
        "version": 1,
        "model": "/models/small",
        "clauses": [clause, {**clause, "principle": "G-01"}],
        "train": [{"prompt": "a", "label": "harmful"}],
        "stages": {"sft": {"lora": {"rank": 8}, "examples": True}, "processes": 1},
    }
    new = {
        "version": 2,
        "model": "/models/small",
        "clauses": [{**clause, "tier": 2, "text": "Be kinder.", "examples": [1, 2]}],
        "train": [{"prompt": "a", "label": "harmful"}, {"prompt": "b", "label": "benign"}],
        "stages": {"sft": {"lora": {"rank": 16}, "examples": False}, "new": {"odd_name": [1, 2]}, "processes": 4},
    }
    assert differences(old, old) == []
    assert differences(old, new) == [
        Difference("Plan", "Version of the constitution", "1", "2"),
        Difference("Clauses", "G-01 Care", "there", "not there"),
        Difference(
            "Clauses",
            "U-02 Care",
            "tier 1, 1 decided examples, its old wording",
            "tier 2, 2 decided examples, another wording",
        ),
        Difference(
            "Requests", "Training requests", "1 harmful, 0 harmless", "1 harmful, 1 harmless, 1 of them in both"
        ),
        Difference("SFT", "learns from decided examples", "yes", "no"),
        Difference("SFT", "rank of the adapter", "8", "16"),
        Difference("SFT and DPO", "processes that train", "1", "4"),
        Difference("new", "odd name", "not set", "1, 2"),
    ]


def test_trends_over_versions(client: Client, make: Callable[..., Checkpoint]) -> None:
    assert "No round has finished yet." in page(client, "round-trends")
    make()
    make(judge="probe-2", unscored=20)
    text = page(client, "round-trends")
    assert "Harmful requests answered" in text
    assert "40 %, 35 to 45, n = 100" in text
    assert "not certified: too many unscored" in text
    assert "judged by different judges: probe-1 and probe-2" in text


def test_lists_of_rounds_take_the_same_queries_for_many(client: Client, make: Callable[..., Checkpoint]) -> None:
    counts = []
    for more in (3, 9):
        for _ in range(more):
            make()
        counts.append([queries(client, name) for name in ("rounds", "round-trends")])
    assert counts[0] == counts[1]


def test_data_card_tells_principles_and_sources(client: Client, make: Callable[..., Checkpoint]) -> None:
    old, new = make().round, make().round
    row = {"principle": "U-02", "label": "harmful", "source": "XSTest", "kept": 7, "dropped": {"unclear": 2}}
    new.data_card[0]["rows"] = [row]
    learnt = {**row, "source": "theirs", "kept": 11, "dropped": {}, "repeated": 1234}
    new.data_card.append({"stage": "dpo", "kept": 11, "dropped": {}, "seconds": 1.5, "rows": [learnt]})
    new.save(update_fields=["data_card"])
    text = page(client, "round-detail", new.pk)
    assert "By principle and source" in text
    assert "unclear (2)" in text
    assert text.count('<td class="num">1,234</td>') == 2
    assert "By principle and source" not in page(client, "round-detail", old.pk)
    changes = page(client, "round-changes", old.pk, new.pk)
    assert "XSTest" in changes
    assert "theirs" not in changes, "the older round did not count what DPO learnt"
