"""Who works on a job: a lease in the database, extended by a heartbeat, and every write fenced by the attempt.

The row is the truth and a broker message only wakes. A worker that dies stops extending; `reap` puts the job back and
the next claim counts `attempt` up, so that whatever the dead worker's ghost still tries to write is refused. All
times are the database's: the clocks of workers need not agree.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import structlog
from django.db import DatabaseError, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from config.live import publish
from training.errors import LeaseLost, StageFailed
from training.models import Job, PreviewRun, RealisedRun, Round, SurfacingRun
from training.states import QUEUED, RUNNING

LEASE = timedelta(seconds=15)
PATIENCE = timedelta(minutes=15)
MOST_TRIES = 5
AnyJob = TypeVar("AnyJob", bound=Job)
Check = Callable[[], None]
KINDS: tuple[type[Job], ...] = (Round, PreviewRun, SurfacingRun, RealisedRun)

log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The work ended before it was done and without being at fault: what is done is kept, and somebody goes on."""


def claim(kind: type[AnyJob]) -> AnyJob | None:
    """The queued job of this kind that was begun first, else the oldest, now leased to this process; None where there
    is none to have.
    """
    with transaction.atomic():
        queued = kind._default_manager.select_for_update(skip_locked=True).filter(state=QUEUED)
        # What was begun before, and paused or lost its worker, is finished first.
        job = queued.order_by(F("started_at").asc(nulls_last=True), "pk").first()
        if job is None:
            return None
        job.state, job.attempt, job.tries = RUNNING, job.attempt + 1, job.tries + 1
        job.lease_owner, job.lease_until = f"{socket.gethostname()}:{os.getpid()}", Now() + LEASE
        job.started_at = job.started_at or timezone.now()
        job.save(update_fields=["state", "attempt", "tries", "lease_owner", "lease_until", "started_at"])
        job.refresh_from_db(fields=["lease_until"])
        announce(job)
    return job


def announce(job: Job) -> None:
    """Have the open pages that show which state the job is in fetch themselves again.

    `round:N` is also told at each step; what somebody may be typing in hears of `round-state:N` alone.
    """
    topics = ("rounds", f"round:{job.pk}", f"round-state:{job.pk}") if isinstance(job, Round) else ()
    for topic in ("queue", *topics):
        publish(topic)


def in_order(*kinds: type[Job]) -> list[type[Job]]:
    """Those kinds of which something is queued, in the order given. What has waited longer than `PATIENCE` goes before
    what has not: more pressing work that never ends holds nothing up for ever.
    """
    queued = {kind: kind._default_manager.filter(state=QUEUED).order_by("pk").first() for kind in kinds}
    waiting = [(not is_overdue(job), kind) for kind, job in queued.items() if job is not None]
    return [kind for _, kind in sorted(waiting, key=lambda pair: pair[0])]


def is_overdue(job: Job) -> bool:
    """Whether the job was queued so long ago that it makes way for rounds alone."""
    return job.created_at < timezone.now() - PATIENCE


def extend(job: Job) -> None:
    """Hold the job for another lease. Raises LeaseLost where it is not ours any more."""
    if not _held(job).update(lease_until=Now() + LEASE):
        raise LeaseLost(job)


@contextmanager
def fenced(job: AnyJob) -> Iterator[AnyJob]:
    """A transaction with the job's row locked and read afresh. Raises LeaseLost where it is not ours any more."""
    with transaction.atomic():
        row = _held(job).select_for_update().first()
        if row is None:
            raise LeaseLost(job)
        yield row


def give_back(job: Job, *, error: str = "") -> None:
    """Put the job back in the queue before its lease lapses. A stop without an error is no failed try."""
    tries = F("tries") if error else F("tries") - 1
    if _held(job).update(state=QUEUED, lease_owner="", lease_until=None, tries=tries, error=error):
        announce(job)


def work_on(
    job: AnyJob,
    do: Callable[[AnyJob, Check], None],
    *,
    stop_asked: Callable[[], bool],
    fail: Callable[[AnyJob, str], object],
    faults: tuple[type[Exception], ...] = (StageFailed,),
    most_tries: int = MOST_TRIES,
) -> None:
    """Do a claimed job until it is done, failed or taken away, or until `stop_asked`.

    `do` calls the check that it is given after each of its steps: it raises Stopped and LeaseLost, which need not be
    caught. Of errors, `faults` end the job by `fail`; any other puts it back in the queue and goes on its way.
    """
    with handed_back(job), heartbeat(job) as lost:

        def check() -> None:
            if lost.is_set():
                raise LeaseLost(job)
            if stop_asked():
                raise Stopped

        try:
            if job.tries > most_tries:
                raise StageFailed(f"It was taken up {most_tries} times and never came to its end. {job.error}")
            do(job, check)
        except Stopped as stopped:
            give_back(job, error="" if stop_asked() else str(stopped))
        except faults as error:
            fail(job, str(error))


@contextmanager
def handed_back(job: Job) -> Iterator[None]:
    """Whatever goes wrong inside, the job is queued again with the error, which goes on its way."""
    try:
        yield
    except LeaseLost:
        log.warning("the job was taken away", job=str(job), attempt=job.attempt)
    except Exception as error:
        give_back(job, error=f"{type(error).__name__}: {error}")
        raise


def reap() -> int:
    """Put back every job whose lease has lapsed; returns how many."""
    lapsed = [kind._default_manager.filter(state=RUNNING, lease_until__lt=Now()) for kind in KINDS]
    return sum(jobs.update(state=QUEUED, lease_owner="", lease_until=None) for jobs in lapsed)


@contextmanager
def heartbeat(job: Job) -> Iterator[threading.Event]:
    """Extend the lease in the background; the event that it yields is set once the lease is lost."""
    lost, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=_beat, args=(job, lost, stop), daemon=True, name=f"lease of {job}")
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()


def _beat(job: Job, lost: threading.Event, stop: threading.Event) -> None:
    while not stop.wait(LEASE.total_seconds() / 3):
        try:
            extend(job)
        except LeaseLost:
            lost.set()
            return
        except DatabaseError as error:
            # The database is away for a moment: two thirds of the lease are left, and every other write is fenced.
            log.warning("the lease could not be extended", job=str(job), error=str(error))
        finally:
            connection.close()  # a thread's connection is its own


def _held(job: AnyJob) -> models.QuerySet[AnyJob]:
    return type(job)._default_manager.filter(pk=job.pk, attempt=job.attempt, state=RUNNING)
