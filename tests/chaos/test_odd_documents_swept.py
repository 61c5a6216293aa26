"""A sweep ends every task that it can, whatever is in the fields of its document."""

from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from bson import DatetimeMS
from bson.errors import BSONError
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymongo.errors import PyMongoError
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from exports.clock import LAST_MS, now_ms
from exports.settings import Settings
from tests.support import hostile
from tests.support.chaos.forms import LONG
from tests.support.service import Service, insert_orders, open_service, working
from tests.support.stored_tasks import insert_task


def _waits(due: object) -> bool:
    """Return whether a task with this `nextRunAt` waits for a day that may never come."""
    if isinstance(due, datetime):
        due = DatetimeMS(due)
    if isinstance(due, DatetimeMS):
        due = int(due)
    return isinstance(due, int | float) and now_ms() < due <= LAST_MS


_FIELDS: Final = {
    **dict.fromkeys(
        (
            *("type", "params", "createdBy", "format", "maxRetries", "retries", "runStartedAt"),
            *("runId", "workflowId", "startedAt", "finishedAt", "updatedAt", "progress", "audit"),
            *("error", "objectKey", "fileName", "expiresAt", "downloadUrl", "sweepStarts"),
        ),
        hostile.STORED,
    ),
    **dict.fromkeys(("createdAt", "purgeAt"), hostile.SORTED_BY),
    "nextRunAt": hostile.SORTED_BY.filter(lambda due: not _waits(due)),
}
"""Every field that runs and sweeps read or change, and what may be in it."""
# With one or two odd fields each: with more, the first one that is refused hides the others.
_ODD: Final = st.lists(st.sampled_from([*_FIELDS]), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            **{name: _FIELDS[name] for name in names},
            "status": st.sampled_from(["pending", "running", "done"]),
        }
    )
)


@given(documents=st.lists(_ODD, min_size=40, max_size=40))
@examples(
    max_examples=4 if LONG else 3,  # the first is the simplest: forty times the same document
    phases=[Phase.generate],  # without shrinking, which would take many exports
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_two_sweeps_end_every_task_whatever_is_in_its_fields(
    settings: Settings, temporal_address: str, documents: list[dict[str, Any]]
) -> None:
    async with open_service(settings, temporal_address) as service, working(service):
        await insert_orders(service.database)
        ids = [task_id for odd in documents if (task_id := await _stored(service, odd))]
        for _ in range(2):
            await service.client.sweep()
            for task_id in ids:
                with suppress(RPCError, WorkflowFailureError):  # no run, or one that failed
                    await service.run_of(task_id).result()
        found = service.database["ExportTasks"].find({"status": {"$in": ["pending", "running"]}})
        assert await found.to_list() == []


async def _stored(service: Service, odd: dict[str, Any]) -> str | None:
    """Return the id under which a document is stored; None if this server refuses it."""
    try:
        return await insert_task(service, **odd)
    except (PyMongoError, BSONError, OverflowError):
        return None
