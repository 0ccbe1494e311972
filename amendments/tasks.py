"""What short workers do for the desk: let votes take effect once nobody can take them back."""

from celery import shared_task

from amendments import actions
from amendments.models import Amendment


@shared_task
def settle(pk: int) -> None:
    """When the time to undo is over."""
    actions.settle(Amendment.objects.get(pk=pk))


@shared_task
def sweep() -> None:
    """Every few seconds: what a lost message left behind."""
    actions.settle_due()
