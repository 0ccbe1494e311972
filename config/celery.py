"""Background work: queue `cpu` for short tasks, queue `gpu` for what needs the model; beat keeps the clock.

A message only wakes a worker: what there is to do, and who does it, stands in the database.
"""

import logging.config
import os
import warnings
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TICK_SECONDS = 5
ALERT_SECONDS = 15
DIGEST_SECONDS = 600
PRUNE_SECONDS = 24 * 3600
CPU, GPU = "cpu", "gpu"

# Only the Redis protocol has these: when an unacknowledged message comes back, and how often that is looked at
# (the default sweep takes a minute and a half to notice).
REDIS_OPTIONS = {"visibility_timeout": 600, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def transport_options(broker_url: str) -> dict[str, int]:
    return REDIS_OPTIONS if broker_url.startswith(("redis", "valkey")) else {}


# As root Celery warns of messages that carry code; ours are JSON, which cannot.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

app = Celery("ratify")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_transport_options=transport_options(settings.BROKER_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_ignore_result=True,
    task_default_queue=CPU,
    task_routes={f"training.tasks.{name}": {"queue": GPU} for name in ("work", "prune")},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    timezone="UTC",
    beat_schedule_filename=str(settings.VAR / "beat"),
    beat_schedule={
        name: {
            "task": f"training.tasks.{name}",
            "schedule": TICK_SECONDS,
            # A beat that nobody worked off is worthless once the next one is there.
            "options": {"queue": CPU, "expires": TICK_SECONDS},
        }
        for name in ("tick", "reap")
    }
    | {
        "clear": {
            "task": "amendments.tasks.clear",
            "schedule": TICK_SECONDS,
            "options": {"queue": CPU, "expires": TICK_SECONDS},
        },
        "settle": {
            "task": "amendments.tasks.sweep",
            "schedule": TICK_SECONDS,
            "options": {"queue": CPU, "expires": TICK_SECONDS},
        },
        # Beside the clock, each says by itself when it is due again.
        "send_alerts": {
            "task": "amendments.tasks.send_alerts",
            "schedule": ALERT_SECONDS,
            "options": {"queue": CPU, "expires": ALERT_SECONDS},
        },
        "deliver": {
            "task": "training.tasks.deliver",
            "schedule": TICK_SECONDS,
            "options": {"queue": CPU, "expires": TICK_SECONDS},
        },
        # Who is due is written with the person, so that a run more or less changes nothing.
        "send_digests": {
            "task": "amendments.tasks.send_digests",
            "schedule": DIGEST_SECONDS,
            "options": {"queue": CPU, "expires": DIGEST_SECONDS},
        },
        # Where the files are. A worker in the middle of a round gets to it afterwards.
        "prune": {
            "task": "training.tasks.prune",
            "schedule": PRUNE_SECONDS,
            "options": {"queue": GPU, "expires": PRUNE_SECONDS},
        },
    },
)
app.autodiscover_tasks()


@setup_logging.connect
def use_our_logging(**_: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)


def _log_request_ids() -> None:
    from django_structlog.celery.steps import DjangoStructLogInitStep

    app.steps["worker"].add(DjangoStructLogInitStep)


_log_request_ids()
