"""Reviewers at work on the real server, all at once: decisions made, errors, and how long they waited (p95)."""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bench import resolve, served
from constitution.texts import ClauseText

if TYPE_CHECKING:
    from constitution.models import User

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
DIGEST = re.compile(r'name="digest" value="([^"]+)"')
PROPOSAL = re.compile(r'href="(/proposals/\d+/)"')
ACCEPTED_SHARE = 0.2
REFUSED = 409  # somebody else was faster: an answer, not an error
UNDO_SECONDS = 2


@dataclass
class Day:
    """What a reviewer went through: milliseconds for each thing they did, and what came of it."""

    waited: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    decided: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--reviewers", type=int, default=50)
    options.add_argument("--minutes", type=float, default=5)
    options.add_argument("--think", type=float, default=10, help="seconds that a reviewer reads, on average")
    options.add_argument("--proposals", type=int, default=3000)
    options.add_argument("--seed", type=int, default=50)
    chosen = options.parse_args()
    dice = random.Random(chosen.seed)  # noqa: S311  a measurement, nothing secret
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": folder, "UNDO_SECONDS": str(UNDO_SECONDS)}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        cookies = prepare(chosen.reviewers, chosen.proposals, dice)
        with served.server() as port, ThreadPoolExecutor(len(cookies) + 1) as pool:
            work = Work(port, time.monotonic() + 60 * chosen.minutes, chosen.think)
            seeds = [dice.random() for _ in cookies]
            settling = pool.submit(settle, work.until)
            days = list(pool.map(work.day, cookies, seeds))
            settling.result()
        report(days, chosen.minutes, chosen.seed)


def prepare(reviewers: int, proposals: int, dice: random.Random) -> list[str]:
    """A constitution of 500 style clauses, `proposals` on them, and the session cookies of so many reviewers."""
    import django

    django.setup()
    from django.core.management import call_command

    from constitution import actions, people
    from constitution.models import Role

    call_command("migrate", verbosity=0)
    author = people.register(username="author", roles=list(Role), by="bench")
    made = [resolve.make_clause(dice, f"c_{number}") for number in range(500)]
    clauses = [clause.model_copy(update={"tier": 3, "precedes": ()}) for clause in made]
    base = actions.publish(base=None, clauses=clauses, title="Style", summary="All of it.", by=author)
    file(base, clauses, proposals, author, dice)
    names = [f"reviewer-{number}" for number in range(reviewers)]
    return [session(people.register(username=name, roles=[Role.REVIEWER], by="bench")) for name in names]


def file(base: object, clauses: Sequence[ClauseText], number: int, author: "User", dice: random.Random) -> None:
    from amendments.actions import propose
    from amendments.operations import Revise

    for each in range(number):
        clause = clauses[each % len(clauses)]
        words = Revise(principle=clause.principle, before=clause.digest, text=f"{clause.text} In case {each}, ask.")
        propose(by=author, base=base, operations=(words,), rationale="Drawn.", priority=dice.random())  # type: ignore[arg-type]


def settle(until: float) -> None:
    """Let votes take effect when nobody can take them back any more, as a worker does beside the server."""
    from amendments import actions

    while time.monotonic() < until:
        actions.settle_due()
        time.sleep(1)


def session(user: "User") -> str:
    """The cookie of somebody who has signed in."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "sesame.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


@dataclass
class Work:
    """What all reviewers do until the end: look at the queue, open a proposal, read, decide, and so on."""

    port: int
    until: float
    think: float

    def day(self, cookie: str, seed: float) -> Day:
        day, dice = Day(), random.Random(seed)  # noqa: S311
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        time.sleep(dice.random() * self.think)
        while time.monotonic() < self.until:
            self._one(day, dice, wire, cookie)
        wire.close()
        return day

    def _one(self, day: Day, dice: random.Random, wire: http.client.HTTPConnection, cookie: str) -> None:
        queue, _, _ = self._ask(day, "queue", wire, cookie, "/")
        if not (found := PROPOSAL.findall(queue)):
            day.errors.append("The queue was empty.")
            return
        page, _, cookies = self._ask(day, "detail", wire, cookie, dice.choice(found))
        time.sleep(dice.expovariate(1 / self.think))
        token, digest = TOKEN.search(page), DIGEST.search(page)
        if not token or not digest:  # decided while the page was on its way
            return
        address = re.search(r'action="(/proposals/\d+/)accept/"', page)
        assert address  # noqa: S101  an open proposal has the form
        verb = "accept" if dice.random() < ACCEPTED_SHARE else "reject"
        sent = {"csrfmiddlewaretoken": token[1], "digest": digest[1], "reason": "", "note": "It settles nothing."}
        _, status, _ = self._ask(day, "decide", wire, f"{cookie}; {cookies}", f"{address[1]}{verb}/", sent)
        day.decided += status == http.HTTPStatus.FOUND
        day.refused += status == REFUSED

    def _ask(
        self,
        day: Day,
        name: str,
        wire: http.client.HTTPConnection,
        cookie: str,
        path: str,
        sent: dict[str, str] | None = None,
    ) -> tuple[str, int, str]:
        """The answer's text, status and cookie; an unexpected status is an error of the day."""
        headers = {
            "Cookie": cookie,
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        began = time.perf_counter()
        wire.request("POST" if sent else "GET", path, urlencode(sent) if sent else None, headers)
        answer = wire.getresponse()
        text = answer.read().decode()
        wire.close()  # the server drops who reads for long; the next request opens it again
        day.waited[name].append(1e3 * (time.perf_counter() - began))
        if answer.status not in (200, 302, REFUSED):
            day.errors.append(f"{path}: {answer.status}")
        return text, answer.status, (answer.getheader("Set-Cookie") or "").split(";")[0]


def report(days: Sequence[Day], minutes: float, seed: int) -> None:
    """The table and the line; and whether what was decided is what the database says."""
    from amendments import actions, states
    from amendments.models import Amendment
    from constitution.models import Version

    time.sleep(UNDO_SECONDS)
    while actions.settle_due():
        pass
    accepted = Amendment.objects.filter(state=states.ACCEPTED).count()
    versions = Version.objects.home().count() - 1
    decided, refused = sum(day.decided for day in days), sum(day.refused for day in days)
    errors = [error for day in days for error in day.errors]
    p95 = {}
    print(
        f"{len(days)} reviewers, {minutes:g} minutes: {decided} decisions, {refused} refused because another was faster"
    )
    for name in ("queue", "detail", "decide"):
        waited = [each for day in days for each in day.waited[name]]
        p95[name] = round(statistics.quantiles(waited, n=20)[18], 1)
        print(f"{name:<10}{len(waited):>8,} times, median {statistics.median(waited):.1f} ms, p95 {p95[name]} ms")
    print(f"{accepted} accepted, {versions} versions; {len(errors)} errors {errors[:3]}")
    line = {"bench": "reviewers", "decided": decided, "errors": len(errors) + abs(accepted - versions), "p95_ms": p95}
    print(json.dumps(line | {"reviewers": len(days), "minutes": minutes, "seed": seed}))


if __name__ == "__main__":
    main()
