"""Amendments of every kind on a real constitution, triaged in a browser by keyboard alone: decisions a minute."""

import argparse
import io
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as NotInTime

from amendments.operations import content_digest, read_operations
from bench import served
from constitution.errors import Refused
from constitution.texts import ClauseText
from tests.browser import desk

if TYPE_CHECKING:
    from constitution.models import User

# What the scripted reviewer does, as the keys that do it and how often, in percent.
ACCEPT, EDIT, REJECT = "accept", "edit", "reject"
HABITS = {ACCEPT: 55, EDIT: 10, REJECT: 35}
SENTENCE = "It says in one sentence what it did and what it left out."
UNDO_SECONDS = 2
MOST_MISSES = 100  # in a row: then there is nothing left of that kind


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data/model_spec"), help="versions/DATE.md in it")
    options.add_argument("--amendments", type=int, default=500)
    options.add_argument("--seed", type=int, default=4)
    chosen = options.parse_args()
    if not (chosen.data / "versions").is_dir():
        raise SystemExit(f"There is no constitution in {chosen.data}: name its folder with --data.")
    dice = random.Random(chosen.seed)  # noqa: S311  a measurement, nothing secret
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": folder, "UNDO_SECONDS": str(UNDO_SECONDS)}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        filed, clauses = prepare(chosen.data, chosen.amendments, dice)
        print(f"{len(filed)} amendments on {clauses} clauses: {spoken(Counter(filed))}")
        with served.server() as port:
            done, seconds = triage(f"http://127.0.0.1:{port}", dice)
        report(done, seconds, chosen.seed)


def prepare(data: Path, number: int, dice: random.Random) -> tuple[list[str], int]:
    """The constitution at home and amendments on it, filed by people; the kind of each, and how many clauses."""
    import django

    django.setup()
    from django.core.management import call_command

    from constitution import actions, people
    from constitution.models import Constitution, Role, Version

    call_command("migrate", verbosity=0)
    author = people.register(username="author", roles=list(Role), by="bench")
    people.register(username="reviewer", roles=list(Role), by="bench")
    quiet = io.StringIO()
    call_command("import_constitution", str(data), slug="spec", title="Imported", by="author", stdout=quiet)
    texts = Version.objects.filter(constitution=Constitution.objects.get(slug="spec")).order_by("-number")[0].texts()
    base = actions.publish(base=None, clauses=texts, title="Imported", summary="All of it.", by=author)
    call_command("acceptance_rule", "2", "--reviewers", "1", "--by", "author", verbosity=0, stdout=quiet)
    return file(base, list(texts), number, author, dice), len(texts)


def file(base: Any, clauses: Sequence[ClauseText], number: int, author: "User", dice: random.Random) -> list[str]:
    """File `number` amendments, each kind in turn until it has no more to offer; the kind of each."""
    from amendments.actions import propose

    filed: list[str] = []
    seen: set[str] = set()
    misses: Counter[str] = Counter()
    while len(filed) < number:
        kind = next(kind for kind in rotated(list(DRAFTS), len(filed)) if misses[kind] < MOST_MISSES)
        try:
            operations = read_operations([DRAFTS[kind](dice, clauses, len(filed))])
            if content_digest(operations) in seen:  # there are only so many clauses to repeal
                misses[kind] += 1
                continue
            propose(by=author, base=base, operations=operations, rationale=f"Drawn: {kind}.", priority=dice.random())
        except Refused:  # a draw that makes no sense, such as a merge that is too long: draw again
            misses[kind] += 1
            continue
        seen.add(content_digest(operations))
        filed.append(kind)
        misses[kind] = 0
    return filed


def rotated(kinds: list[str], turn: int) -> list[str]:
    start = turn % len(kinds)
    return kinds[start:] + kinds[:start]


Draft = Callable[[random.Random, Sequence[ClauseText], int], dict[str, Any]]


def lower(dice: random.Random, clauses: Sequence[ClauseText]) -> ClauseText:
    """A clause that is not universal, nine times of ten: reviewers alone cannot change those that are."""
    return dice.choice([clause for clause in clauses if clause.tier > 1 or dice.random() < 0.1])


def on(clause: ClauseText, **fields: Any) -> dict[str, Any]:
    return {"principle": clause.principle, "before": clause.digest, **fields}


def revise(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:
    clause = lower(dice, clauses)
    words = clause.text.split(" ")
    place = dice.randrange(len(words))
    return on(clause, op="revise", text=" ".join([*words[:place], f"(case {number})", *words[place:]]))


def repeal(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:  # noqa: ARG001
    return on(lower(dice, clauses), op="repeal")


def retier(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:  # noqa: ARG001
    clause = lower(dice, clauses)
    return on(clause, op="retier", tier=3 if clause.tier == 2 else 2)


def rescope(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:  # noqa: ARG001
    places = {"region": ["EU", "US", "JP", "BR"], "industry": ["healthcare", "finance", "education"]}
    dimension = dice.choice(list(places))
    return on(lower(dice, clauses), op="rescope", scope={dimension: [dice.choice(places[dimension])]})


def add_example(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:
    example = {"request": f"What do you do in case {number}?", "expects": "help", "right": "This.", "wrong": "Nothing."}
    return on(lower(dice, clauses), op="add_example", example=example)


def add(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:  # noqa: ARG001
    name = f"added_{number}"
    words = {"title": f"Case {number}", "text": f"In case {number}, ask."}
    return {"op": "add", "principle": name, "clause": {"principle": name, "tier": dice.choice((2, 3)), **words}}


def merge(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:  # noqa: ARG001
    one, other = lower(dice, clauses), lower(dice, clauses)
    text = f"{one.text} {other.text}"
    return on(one, op="merge", text=text, absorbs=[{"principle": other.principle, "before": other.digest}])


def split(dice: random.Random, clauses: Sequence[ClauseText], number: int) -> dict[str, Any]:
    clause = lower(dice, clauses)
    words = clause.text.split(" ")
    half = len(words) // 2
    part = {"title": f"Part {number}", "text": " ".join(words[half:])}
    parts = [{"principle": f"part_{number}", "tier": clause.tier, **part}]
    return on(clause, op="split", text=" ".join(words[:half]), parts=parts)


DRAFTS: dict[str, Draft] = {
    "revise": revise,
    "repeal": repeal,
    "retier": retier,
    "rescope": rescope,
    "add_example": add_example,
    "add": add,
    "merge": merge,
    "split": split,
}


def triage(site: str, dice: random.Random) -> tuple[dict[int, str], float]:
    """Decide on everything that is open, by keys alone; what was done to each, and the seconds it took."""
    from config.sign_in import link_for
    from constitution.models import User

    done: dict[int, str] = {}
    link = link_for(User.objects.get(username="reviewer"), site=site)  # Playwright's loop lets no query through
    with desk.browser() as browser:
        page = browser.new_page()
        errors = desk.watch(page)
        page.goto(link)
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/proposals/*/")
        began = time.perf_counter()
        while (number := shown(page)) is not None and number not in done:
            done[number] = decide(page, dice)
            if len(done) % 50 == 0:
                print(f"    {len(done)} decided, {60 * len(done) / (time.perf_counter() - began):.0f} a minute")
        seconds = time.perf_counter() - began
    if errors:
        raise RuntimeError("\n".join(errors[:5]))
    return done, seconds


def shown(page: Page) -> int | None:
    """The number of the proposal that the page shows, once it shows it; None where it is the queue: all are decided."""
    page.locator("h1").wait_for()
    if "/proposals/" not in page.url:
        return None
    page.locator("#decision").wait_for()
    return int(page.url.split("/proposals/")[1].split("/")[0])


def decide(page: Page, dice: random.Random) -> str:
    """Press what a reviewer would; where a key is refused, reject. What was done; the next proposal is loading then."""
    (habit,) = dice.choices(list(HABITS), list(HABITS.values()))
    if habit != REJECT and page.locator("[data-key=a]").is_disabled():
        habit = REJECT
    here = page.url
    if habit == ACCEPT:
        page.keyboard.press("a")
    elif habit == EDIT:
        page.keyboard.press("e")
        page.keyboard.press("Control+End")
        page.keyboard.type(f" {SENTENCE}")
        submit(page)
    else:
        page.keyboard.press("r")
        page.keyboard.type("It settles nothing that is open.")
        submit(page)
    try:
        page.wait_for_url(lambda url: url != here, timeout=5_000)
    except NotInTime:  # refused where it was: the sentence says why, and rejecting is always possible
        if habit == REJECT:
            raise
        page.reload()
        page.keyboard.press("r")
        page.keyboard.type("It cannot be accepted.")
        submit(page)
        page.wait_for_url(lambda url: url != here)
        return REJECT
    return habit


def submit(page: Page) -> None:
    """Go on to the button of the form that is being filled in, and press it."""
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "submit":
            break
    page.keyboard.press("Enter")


def report(done: dict[int, str], seconds: float, seed: int) -> None:
    """Settle what is waiting, and compare what the reviewer did with what became of it."""
    from amendments import actions, states
    from amendments.models import Amendment, Verdict
    from constitution.models import Version

    time.sleep(UNDO_SECONDS)
    while actions.settle_due():  # no worker runs here
        pass
    found = Amendment.objects.in_bulk(list(done))
    wrong = 0
    for number, habit in done.items():
        row = found[number]
        verdicts = set(row.reviews.filter(digest=row.digest).values_list("verdict", flat=True))
        right = {
            states.ACCEPTED: habit != REJECT and verdicts == {Verdict.APPROVE} and row.version_id is not None,
            states.REJECTED: habit == REJECT and verdicts == {Verdict.REJECT} and row.version_id is None,
            # Reviewers alone change no universal clause. And where another one was accepted before this vote took
            # effect, and changed the text under it, the vote is void.
            states.OPEN: row.tier == 1 or (not verdicts and row.revisions.count() > 1),
            states.NEEDS_REBASE: row.version_id is None,
        }
        if not right.get(row.state, False):
            wrong += 1
            print(f"    {row} is {row.state} after {habit}; what counts of it: {sorted(verdicts)}")
    ended = Counter(row.state for row in found.values())
    accepted, versions = ended[states.ACCEPTED], Version.objects.home().count() - 1
    wrong += accepted != versions
    rate = 60 * len(done) / seconds
    print(f"{len(done)} decided in {seconds:.0f} s, {rate:.1f} a minute: {spoken(Counter(done.values()))}")
    print(f"afterwards: {spoken(ended)}; {versions} versions published; {wrong} in a wrong state")
    line = {"bench": "triage", "per_minute": round(rate, 1), "n": len(done), "wrong": wrong, "versions": versions}
    print(json.dumps(line | {"seed": seed}))


def spoken(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


if __name__ == "__main__":
    main()
