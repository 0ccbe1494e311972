"""What short workers do for the desk: let votes take effect once nobody can take them back."""

from celery import shared_task
from django.conf import settings

from amendments import actions, notices, producers
from amendments.models import Amendment

# Then others that wait for a worker have their turn.
CLEAR_SECONDS = 3


@shared_task
def settle(pk: int) -> None:
    """When the time to undo is over."""
    actions.settle(Amendment.objects.get(pk=pk))


@shared_task
def sweep() -> None:
    """Every few seconds: what a lost message left behind, and known items that are over."""
    actions.settle_due()
    actions.close_known()


@shared_task
def send_digests() -> None:
    """Now and then: one mail to everybody who is due and for whom something new waits."""
    notices.send_digests(site=settings.SITE)


@shared_task
def send_alerts() -> None:
    """Every few seconds: one mail to everybody whom a new alert concerns."""
    notices.send_alerts(site=settings.SITE)


@shared_task
def clear() -> None:
    """Every few seconds: go on rejecting together what people ordered, and come back where that is not done."""
    if producers.clear(seconds=CLEAR_SECONDS):
        clear.delay()
