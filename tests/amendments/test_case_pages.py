"""The pages of edge cases and clusters: what they show and hide, find, page and refuse."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments import case_filters
from amendments.cases import CaseText, add, mark
from amendments.clusters import merge
from amendments.models import (
    Amendment,
    CaseMark,
    Cluster,
    EdgeCase,
    Label,
    MarkKind,
    Producer,
    Scenario,
    Signal,
)
from constitution.models import User, Version

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> {{ 7|add:7 }} {% debug %}"
LIST = "/edge-cases/"


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def seen(prompt: str, by: User, **changes: Any) -> EdgeCase:
    content = {"prompt": prompt, "response": "No.", "principle": "G-01", "why": "It does not say.", **changes}
    return add(text=CaseText.model_validate(content), by=by)


def found(desk: Client, **query: str | int) -> list[int]:
    page = desk.get(LIST, query)
    assert page.status_code == 200
    return [row["pk"] for row in page.context["cases"]]


def every_page(desk: Client, url: str) -> Iterator[int]:
    while url:
        page = desk.get(url)
        yield from (row["pk"] for row in page.context["cases"])
        url = f"{url.partition('?')[0]}{page.context['next_url']}" if page.context["next_url"] else ""


def test_list_without_cases_says_what_to_do(desk: Client, constitution: Version) -> None:
    assert "There are no edge cases yet" in desk.get(LIST).content.decode()
    assert "Take a filter away" in desk.get(LIST, {"q": "zebra"}).content.decode()


def test_list_is_newest_first_or_strongest_first(desk: Client, cluster: Cluster, reviewer: User) -> None:
    keys = sorted(cluster.edge_cases.values_list("pk", flat=True))
    mine = seen("Mine?", reviewer).pk
    assert found(desk) == [mine, *reversed(keys)]
    assert found(desk, order="strongest") == [mine, *reversed(keys)]
    assert found(desk, order="nonsense")[0] == mine


def test_list_filters_by_what_its_address_says(
    desk: Client, cluster: Cluster, producer: Producer, reviewer: User, operator: User
) -> None:
    first, second, third = cluster.edge_cases.order_by("pk")
    mine = seen("A fever in Lyon?", reviewer, principle="U-02", label="harmful", response="Take zebras.")
    mark(cases=[first], kind=MarkKind.NOISE, by=operator)
    mark(cases=[second], kind=MarkKind.REAL, by=reviewer)
    machine = [third.pk, second.pk, first.pk]
    for query, expected in (
        ({"signal": "over-refusal"}, machine),
        ({"signal": "reported"}, [mine.pk]),
        ({"principle": "U-02"}, [mine.pk]),
        ({"cluster": cluster.pk}, machine),
        ({"cluster": 10**30}, []),
        ({"version": 1}, [mine.pk, *machine]),
        ({"version": 9}, []),
        ({"producer": producer.pk}, machine),
        ({"person": "ada"}, [mine.pk]),
        ({"person": "nobody"}, []),
        ({"label": "harmful"}, [mine.pk]),
        ({"mark": "noise"}, [first.pk]),
        ({"mark": "left-out"}, [first.pk]),
        ({"mark": "none"}, [mine.pk, third.pk]),
        ({"q": "fevers"}, [mine.pk]),
        ({"q": "fever zebra"}, [mine.pk]),
        ({"q": '"kill process"', "signal": "over-refusal"}, machine),
        ({"q": "the and"}, []),
        ({"q": "'; DROP TABLE x; -- :* & |"}, []),
        ({"signal": "nonsense", "cluster": "x", "producer": "9999"}, [mine.pk, *machine]),
    ):
        assert found(desk, **query) == expected, query


@pytest.mark.parametrize("order", ["newest", "strongest"])
def test_list_pages_by_key_and_every_case_comes_once(desk: Client, cluster: Cluster, order: str) -> None:
    first = cluster.edge_cases.select_related("scenario").order_by("pk")[0]
    for number in range(60):
        scenario = Scenario.objects.create(digest=f"x{number:063}", prompt=f"More {number}", source="test")
        EdgeCase.objects.create(
            scenario=scenario,
            version_id=first.version_id,
            principle_id="G-01",
            cluster=cluster,
            producer_id=first.producer_id,
            signal=first.signal,
            score=number % 3 / 10,
            response="No.",
        )
    shown = list(every_page(desk, f"{LIST}?order={order}"))
    assert len(shown) == len(set(shown)) == 63
    if order == "newest":
        assert shown == sorted(shown, reverse=True)
    assert len(list(every_page(desk, cluster.get_absolute_url()))) == 63


@pytest.mark.parametrize("after", ["x", "~", "nan~1", "0.5~", "-1~5", "9" * 40, "0.5~9e9", "\x00", "²"])
@pytest.mark.parametrize("order", ["newest", "strongest"])
def test_list_with_a_made_up_key_answers(desk: Client, cluster: Cluster, after: str, order: str) -> None:
    assert len(found(desk, after=after, order=order)) == 3


def test_list_counts_up_to_a_bound(desk: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "3 edge cases" in desk.get(LIST).content.decode()
    monkeypatch.setattr(case_filters, "COUNTED", 2)
    assert "More than 2 edge cases" in desk.get(LIST).content.decode()


@pytest.mark.parametrize("path", ["list", "cluster", "case"])
def test_pages_ask_the_same_number_of_queries_for_many(
    desk: Client,
    cluster: Cluster,
    reviewer: User,
    other_reviewer: User,
    path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    def fill(start: int, end: int) -> list[EdgeCase]:
        cases = [seen(f"Number {number}?", [reviewer, other_reviewer][number % 2]) for number in range(start, end)]
        mark(cases=cases, kind=MarkKind.REAL, by=reviewer)
        mark(cases=cases, kind=MarkKind.NOISE, by=other_reviewer)
        return cases

    cases = fill(0, 3)
    url = {"list": LIST, "cluster": cases[0].cluster.get_absolute_url(), "case": cases[0].get_absolute_url()}[path]
    desk.get(url)
    count = {"list": 7, "cluster": 16, "case": 14}[path]
    with django_assert_num_queries(count):
        desk.get(url)
    fill(3, 30)
    with django_assert_num_queries(count):
        desk.get(url)


def test_harmful_response_is_folded_and_never_in_a_list(desk: Client, reviewer: User, constitution: Version) -> None:
    harmful = seen("How do I hurt him?", reviewer, label="harmful", response="SECRET words")
    unknown = seen("What is it?", reviewer, response="SECRET words")
    benign = seen("How do I bake?", reviewer, label="benign", response="SECRET words")
    assert "SECRET" not in desk.get(LIST).content.decode()
    assert "SECRET" not in desk.get(harmful.cluster.get_absolute_url()).content.decode()
    for case, is_veiled in ((harmful, True), (unknown, True), (benign, False)):
        page = desk.get(case.get_absolute_url()).content.decode()
        assert ('<details class="veil" id="response">' in page) is is_veiled
        assert page.count("SECRET") == 1


def test_hostile_text_is_shown_as_text(desk: Client, reviewer: User, constitution: Version) -> None:
    case = seen(HOSTILE, reviewer, response=HOSTILE, why=HOSTILE, label="benign")
    mark(cases=[case], kind=MarkKind.REAL, by=reviewer, note=HOSTILE)
    for url in (LIST, case.get_absolute_url(), case.cluster.get_absolute_url(), f"{LIST}?q={HOSTILE}"):
        page = desk.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "{{ 7|add:7 }}" in page


def test_case_shows_verdicts_twin_siblings_and_proposals(
    desk: Client, constitution: Version, producer: Producer, reviewer: User
) -> None:
    cluster = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.OVER_REFUSAL)
    twins = [
        Scenario.objects.create(digest=f"t{label:>063}", prompt=f"A {label} one?", label=label, pair="p", source="test")
        for label in (Label.BENIGN, Label.HARMFUL)
    ]
    verdict = {
        "principle": "G-01",
        "response": "No.",
        "judge": "the probe",
        "verdict": "refuses",
        "probability": None,
        "reason": "It says no.",
        "is_advisory": True,
    }
    cases = [
        EdgeCase.objects.create(
            scenario=twin,
            version=constitution,
            principle_id="G-01",
            cluster=cluster,
            producer=producer,
            signal=cluster.signal,
            score=0.7,
            response="No.",
            detail={"verdicts": [verdict]},
        )
        for twin in twins
    ]
    page = desk.get(cases[0].get_absolute_url())
    text = page.content.decode()
    assert "unscored" in text
    assert "advisory" in text
    assert page.context["twin"]["url"] == cases[1].get_absolute_url()
    assert [row["pk"] for row in page.context["siblings"]] == [cases[1].pk]
    assert page.context["proposals"] == []
    assert f"{reverse('amendments:propose', args=['G-01'])}?cluster={cluster.pk}" in text


def test_propose_from_a_case_carries_its_cluster_along(desk: Client, cluster: Cluster) -> None:
    address = reverse("amendments:propose", args=["G-01"])
    form = desk.get(address, {"cluster": cluster.pk})
    assert "3 edge cases" in form.content.decode()
    clause = form.context["clause"]
    written = {"before": clause.digest, "title": clause.title, "text": "Help.", "rationale": "", "cluster": cluster.pk}

    refused = desk.post(address, written)
    assert f'name="cluster" value="{cluster.pk}"' in refused.content.decode()
    desk.post(address, written | {"rationale": "They were harmless."})

    proposal = Amendment.objects.get()
    assert (proposal.cluster, proposal.signal) == (cluster, cluster.signal)
    case = cluster.edge_cases.order_by("pk")[0]
    assert [row["pk"] for row in desk.get(case.get_absolute_url()).context["proposals"]] == [proposal.pk]
    for nonsense in ("x", "9" * 30, "99999"):
        assert desk.get(address, {"cluster": nonsense}).context["cluster"] is None


def test_mark_on_the_page_and_change_it(desk: Client, cluster: Cluster, reviewer: User) -> None:
    first, second, _ = cluster.edge_cases.order_by("pk")
    address = reverse("amendments:edge-case-mark", args=[first.pk])
    assert desk.post(address, {"kind": "real"})["Location"] == first.get_absolute_url()
    desk.post(address, {"kind": "duplicate", "duplicate_of": f"#{second.pk}", "note": "The same."})

    page = desk.get(first.get_absolute_url())
    assert [row["label"] for row in page.context["marks"]] == ["Duplicate"]
    assert page.context["marking"]["duplicate_of"] == second.pk
    refused = desk.post(address, {"kind": "duplicate", "duplicate_of": "99999", "note": "My words"})
    assert refused.status_code == 409
    assert "There is no edge case 99999" in refused.content.decode()
    assert "My words" in refused.content.decode()


def test_mark_many_goes_back_to_the_same_list(desk: Client, cluster: Cluster) -> None:
    keys = sorted(cluster.edge_cases.values_list("pk", flat=True))
    address = reverse("amendments:edge-cases-mark")
    query = "signal=over-refusal&order=strongest"
    answer = desk.post(address, {"case": keys[:2], "kind": "noise", "query": query})
    assert answer["Location"] == f"{LIST}?{query}"
    assert CaseMark.objects.count() == 2
    refused = desk.post(address, {"case": keys[:2], "kind": "wrong-type", "query": query})
    assert refused.status_code == 409
    assert [row["pk"] for row in refused.context["cases"] if row["is_chosen"]] == [keys[1], keys[0]]
    for nonsense in ([], ["x"], ["9" * 50], [0]):
        assert desk.post(address, {"case": nonsense, "kind": "real"}).status_code == 409
    assert desk.post(address, {"case": keys, "kind": "nonsense"}).status_code == 409


def test_left_out_is_said_where_it_counts(desk: Client, cluster: Cluster, operator: User) -> None:
    first = cluster.edge_cases.order_by("pk")[0]
    mark(cases=[first], kind=MarkKind.NOISE, by=operator)
    page = desk.get(cluster.get_absolute_url())
    assert (page.context["count"], page.context["left_out"]) == (2, 1)
    assert "left out of counts and evidence" in page.content.decode()
    assert "It is left out of its cluster" in desk.get(first.get_absolute_url()).content.decode()


def test_person_without_the_role_reads_and_is_told_why_not(client: Client, cluster: Cluster, overseer: User) -> None:
    client.force_login(overseer)
    case = cluster.edge_cases.order_by("pk")[0]
    for url in (LIST, case.get_absolute_url(), cluster.get_absolute_url(), f"{LIST}new/", f"{LIST}import/"):
        page = client.get(url).content.decode()
        assert "An operator can give you" in page
    assert client.post(f"{LIST}new/", {"prompt": "x"}).status_code in (403, 422)


def test_add_by_form_and_nothing_is_lost_when_it_is_refused(
    desk: Client, constitution: Version, researcher: User
) -> None:
    written = {
        "prompt": "Is a fever\r\nof 40 bad?",
        "response": "Ask a doctor.",
        "principle": "H-02",
        "signal": "gap",
        "why": "It gives no facts.",
        "region": "Atlantis",
        "label": "",
    }
    refused = desk.post(f"{LIST}new/", written)
    assert refused.status_code == 422
    assert "Atlantis" in refused.content.decode()
    assert "It gives no facts." in refused.content.decode()
    assert [each["place"] for each in refused.context["mistakes"]] == ["region"]

    answer = desk.post(f"{LIST}new/", written | {"region": "France"})
    case = EdgeCase.objects.select_related("scenario").get()
    assert answer["Location"] == case.get_absolute_url()
    assert (case.scenario.prompt, case.scenario.context) == ("Is a fever\nof 40 bad?", {"region": "FR"})
    again = desk.post(f"{LIST}new/", written | {"region": "France"})
    assert again.status_code == 409
    assert case.get_absolute_url() in again.content.decode()


def upload(desk: Client, *rows: object, name: str = "cases.jsonl", **data: str) -> Any:
    content = "\n".join(json.dumps(row) for row in rows).encode()
    return desk.post(f"{LIST}import/", {"file": SimpleUploadedFile(name, content), **data})


ROW = {"prompt": "One?", "response": "No.", "principle": "G-01", "why": "Harmless."}


def test_upload_adds_all_or_says_what_is_wrong_with_each_line(desk: Client, constitution: Version) -> None:
    rows = [ROW, {**ROW, "prompt": "Two?", HOSTILE: 1}]
    refused = upload(desk, *rows)
    assert refused.status_code == 422
    assert [row["line"] for row in refused.context["refused"]] == [2]
    assert "<script>alert" not in refused.content.decode()
    assert not EdgeCase.objects.exists()

    page = upload(desk, *rows, valid_only="yes")
    assert "1 added" in page.content.decode()
    assert EdgeCase.objects.count() == 1


def test_upload_refuses_what_is_no_file_for_it(
    desk: Client, constitution: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.post(f"{LIST}import/").status_code == 422
    assert desk.post(f"{LIST}import/", {"file": "words"}).status_code == 422
    assert upload(desk, ROW, name="x.exe").status_code == 422
    assert upload(desk, ROW, name="<b>.exe").status_code == 422
    monkeypatch.setattr("amendments.views.edge_case_entry.MOST_BYTES", 10)
    assert "Send it in parts" in upload(desk, ROW).content.decode()
    assert not EdgeCase.objects.exists()


def test_cluster_is_split_merged_and_taken_back_from_its_page(
    desk: Client, cluster: Cluster, constitution: Version, producer: Producer
) -> None:
    keys = sorted(cluster.edge_cases.values_list("pk", flat=True))
    answer = desk.post(reverse("amendments:cluster-split", args=[cluster.pk]), {"case": keys[:1], "label": "Doses"})
    made = Cluster.objects.get(label="Doses")
    assert answer["Location"] == made.get_absolute_url()
    page = desk.get(made.get_absolute_url())
    assert "Over-refusal under G-01: Doses" in page.content.decode()
    assert [other["pk"] for other in page.context["others"]] == [cluster.pk]

    refused = desk.post(reverse("amendments:cluster-split", args=[cluster.pk]), {"case": keys[1:2], "label": "Doses"})
    assert refused.status_code == 409
    assert [row["pk"] for row in refused.context["cases"] if row["is_chosen"]] == keys[1:2]

    desk.post(reverse("amendments:cluster-merge", args=[made.pk]), {"into": cluster.pk})
    emptied = desk.get(made.get_absolute_url())
    assert emptied.context["present"]["url"] == cluster.get_absolute_url()
    page = desk.get(cluster.get_absolute_url())
    move = next(row["pk"] for row in page.context["moves"] if row["may_take_back"])
    desk.post(reverse("amendments:cluster-take-back", args=[cluster.pk]), {"move": move})
    assert made.edge_cases.count() == 1
    for nonsense in ("", "x", "9" * 40, "99999"):
        assert desk.post(reverse("amendments:cluster-merge", args=[made.pk]), {"into": nonsense}).status_code == 409
        address = reverse("amendments:cluster-take-back", args=[made.pk])
        assert desk.post(address, {"move": nonsense}).status_code == 409


def test_proposals_of_a_merged_cluster_are_on_the_page_of_the_other(
    desk: Client, cluster: Cluster, reviewer: User, file_proposal: Any, constitution: Version
) -> None:
    other = Cluster.objects.create(version=constitution, principle_id="U-02", signal=cluster.signal)
    proposal = file_proposal(cluster=cluster)
    merge(source=cluster, target=other, by=reviewer)
    for url in (cluster.get_absolute_url(), other.get_absolute_url()):
        assert [row["pk"] for row in desk.get(url).context["proposals"]] == [proposal.pk]
