"""The export on procrastinate with PostgreSQL: one asynchronous task, and a look for stalled ones.

python -m benchmarks.peers.procrastinate_worker
"""

import asyncio
import logging
import os
from functools import cache
from typing import Final

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy

from benchmarks.peers.job import ATTEMPTS, AsyncJob, settings_of_worker
from benchmarks.peers.steps import ran_to_its_end

QUEUE: Final = "exports"
READY: Final = "Worker is ready"
_CONCURRENCY: Final = int(os.environ.get("PEERS_CONCURRENCY", "1"))

# A connection for each job at work, one that listens, one for everything else.
app = App(
    connector=PsycopgConnector(
        conninfo=os.environ["PEERS_PROCRASTINATE_DATABASE"],
        min_size=4,
        max_size=_CONCURRENCY + 2,
    )
)


@cache
def _job() -> AsyncJob:
    return AsyncJob(settings_of_worker())


@app.task(
    name="export",
    queue=QUEUE,
    pass_context=True,
    retry=RetryStrategy(max_attempts=ATTEMPTS - 1, exponential_wait=2),
)
async def export(context: JobContext, *, task_id: str) -> None:
    """Run one export."""
    job = _job()
    try:
        request = await job.begin(task_id)
        if request is None:
            return
        documents = await job.aggregate(request)
        # In a thread, so that the event loop can send the worker's heartbeats.
        file = await asyncio.to_thread(job.files.encode, request, documents)
        ran_to_its_end(task_id, "aggregate")
        stored = await asyncio.to_thread(job.files.upload, task_id, file)
        await job.done(task_id, stored)
    except Exception as error:
        if context.job.attempts + 1 >= ATTEMPTS:
            await job.failed(task_id, error)
        raise


# As "Retry stalled jobs" of its documentation says, but every ten seconds instead of minutes. A
# job is stalled when its worker has sent no heartbeat for 30 s, which is the default.
@app.periodic(cron="* * * * * */10")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """Run the jobs of lost workers again."""
    del timestamp
    for job in await context.app.job_manager.get_stalled_jobs():
        await context.app.job_manager.retry_job(job)


async def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    async with app.open_async():
        print(READY, flush=True)
        await app.run_worker_async(concurrency=_CONCURRENCY)


if __name__ == "__main__":
    asyncio.run(main())
