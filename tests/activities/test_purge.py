"""What the sweep removes from the bucket: what is over or needed by nobody, and of nobody else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from bson import ObjectId

from exports import names
from exports.clock import now_ms
from tests.support.service import Service, working
from tests.support.stored_tasks import insert_task

OWN: Final = "6b04e9c37b18ed84111ce662"
RUN: Final = "01a20b31-2205-7d50-b21b-c0e55431090f"
OTHERS: Final = names.file_key("another", RUN, attempt="3-1", extension="csv")
# A value of `objectKey` in the task `OWN` of the run `RUN` that is no key of a file of theirs.
NOT_ITS_FILE: Final[dict[str, object]] = {
    "the file of another task": OTHERS,
    "a staged part": names.staged_part_key(OWN, RUN, unit="u", attempt="2-1", index=0),
    "an object of another service": "invoices/2026/10.pdf",
    "an object of another service under files/": "files/2026/10/export.pdf",
    "no token": f"files/{OWN}/{RUN}/3-1/export.csv",
    "too long a path": f"files/{OWN}/{RUN}/3-1-{'0' * 32}/export.csv/export.csv",
    "a path that leads elsewhere": f"files/{OWN}/{RUN}/../../../invoices/2026/10.pdf",
    "a list": [OTHERS],
    "a number": 7,
    "nothing": None,
}


@pytest.mark.parametrize("what", NOT_ITS_FILE)
async def test_a_document_has_no_object_removed_that_is_not_the_file_of_its_task_and_run(
    service: Service, what: str
) -> None:
    others = [OTHERS, "invoices/2026/10.pdf", "files/2026/10/export.pdf"]
    for key in others:
        service.store.put(key, b"of somebody else")
    await insert_task(service, _id="another", status="done", runId=RUN, objectKey=OTHERS)
    await insert_task(
        service,
        _id=ObjectId(OWN),
        status="done",
        runId=RUN,
        objectKey=NOT_ITS_FILE[what],
        downloadUrl="https://1",
        purgeAt=now_ms(),
    )
    swept = await service.client.sweep()
    assert [key for key in others if service.store.size(key) is None] == []
    # Its time is over: without a file to remove, it is not looked at again.
    document = await service.document(OWN)
    assert (swept.purged, document["status"]) == (0, "expired")
    assert document["error"]["code"] == "E_TASK"
    assert "objectKey" in document["error"]["msg"]
    assert "downloadUrl" not in document
    assert (await service.client.sweep()).handled == 0


@pytest.mark.parametrize(
    "key",
    [
        "files/2026/10/export.pdf",
        "files/a/b/c/d",
        f"files/a/{RUN}/3-1/export.csv",
        f"files/%61/{RUN}/3-1-{'0' * 32}/export.csv",
        f"staging/a/{RUN}/part-00000.arrow",
        "staging/2026/10/rows/part-1.arrow",
    ],
)
async def test_an_object_whose_key_is_not_built_like_ours_stays_however_old_it_is(
    idle_service: Service, key: str
) -> None:
    await insert_task(idle_service, _id="a", status="failed")
    idle_service.store.put(key, b"of another service")
    ours = names.file_key("unknown", RUN, attempt="3-1", extension="csv")
    idle_service.store.put(ours, b"older than it may become")
    async with working(_without_retention(idle_service)):
        await idle_service.client.sweep()
    assert idle_service.keys() == [key]


def _without_retention(service: Service) -> Service:
    no_time = {"retention": timedelta(seconds=-60)}
    return replace(service, settings=service.settings.model_copy(update=no_time))


@pytest.mark.parametrize("status", [None, "on hold", ["done"], 7])
async def test_a_document_with_a_status_that_is_none_of_ours_does_not_stop_the_sweep(
    service: Service, status: object
) -> None:
    key = names.file_key("odd", RUN, attempt="3-1", extension="csv")
    service.store.put(key, b"of nobody that we know")
    await service.database["ExportTasks"].insert_one({"_id": "odd", "status": status})
    assert (await service.client.sweep()).handled == 0
    assert service.keys() == [key]


@pytest.mark.parametrize("theirs", ["failed", "done", "pending"])
@pytest.mark.parametrize("mine", [ObjectId, str])
async def test_no_file_is_removed_for_a_document_with_the_same_id_in_another_form(
    service: Service, mine: Any, theirs: str
) -> None:
    key = names.file_key(OWN, RUN, attempt="3-1", extension="csv")
    service.store.put(key, b"the file")
    file = {"runId": RUN, "objectKey": key}
    await insert_task(service, _id=mine(OWN), status="done", **file)
    other = str if mine is ObjectId else ObjectId
    await insert_task(service, _id=other(OWN), status=theirs, purgeAt=now_ms(), runId=RUN)
    await service.client.sweep()
    assert service.keys() == [key]
