"""The export on Celery with Redis: one task, acknowledged when it has ended.

celery --app benchmarks.peers.celery_worker worker --pool threads --concurrency 8
"""

import os
from functools import cache
from typing import Final

from celery import Celery
from celery.signals import task_failure, worker_ready

from benchmarks.peers.job import ATTEMPTS, Job, settings_of_worker

QUEUE: Final = "exports"
READY: Final = "Worker is ready"
VISIBILITY_TIMEOUT: Final = 30
"""Seconds until a message that was delivered and not acknowledged is delivered again.

Nothing renews it, so it has to be longer than the longest task. An export of the sample takes
less than a second. Celery's own default is an hour.
"""

app = Celery(
    "peers", broker=os.environ["PEERS_CELERY_BROKER"], backend=os.environ["PEERS_CELERY_RESULTS"]
)
app.conf.update(
    task_default_queue=QUEUE,
    # A message stays with the broker until its task has ended, even if the worker is killed.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # A worker holds no more messages than it works on; those it holds wait for the timeout.
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT,
        # Look for such messages every ten seconds. The default, every hundredth, is for long
        # timeouts.
        "unacked_restore_throttle": 1,
    },
    broker_connection_retry_on_startup=True,
    result_expires=3600,
)


@cache
def _job() -> Job:
    # Connects in the process that runs the tasks, not in the one that forks it.
    return Job(settings_of_worker())


@app.task(
    name="export",
    autoretry_for=(Exception,),
    max_retries=ATTEMPTS - 1,
    retry_backoff=2,
    retry_backoff_max=3600,
)
def export(task_id: str) -> None:
    """Run one export."""
    job = _job()
    request = job.begin(task_id)
    if request is not None:
        job.done(task_id, job.upload(task_id, job.aggregate(task_id, request)))


@task_failure.connect
def give_up(task_id: str, exception: BaseException, **_: object) -> None:
    """Say in the document that the last attempt has failed. The message has the task's own id."""
    _job().failed(task_id, exception)


@worker_ready.connect
def say_so(**_: object) -> None:
    """Write that the worker is ready."""
    print(READY, flush=True)
