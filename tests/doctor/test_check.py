"""Whatever happens while one thing is looked at, it becomes a line, and the rest goes on."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from temporalio.service import RPCError, RPCStatusCode

from exports.doctor.check import Check, Question, Server, examine, ok
from exports.errors import BucketMissingError

SECRET = "s3cr3t"


async def _fine() -> list[Check]:
    return [ok("fine", "It is.")]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BucketMissingError("There is no bucket."), "There is no bucket."),
        (RPCError(SECRET, RPCStatusCode.PERMISSION_DENIED, b""), "refused access"),
        (OperationFailure(SECRET, 13), "refused the credentials or the permission"),
        (ServerSelectionTimeoutError(SECRET), "can't be reached"),
        (RuntimeError(SECRET), "An internal error occurred (RuntimeError)"),
    ],
)
async def test_an_error_becomes_a_sentence_without_what_the_library_said(
    error: Exception, said: str
) -> None:
    async def fails() -> list[Check]:
        raise error

    server = Server("here", Question("first", _fine), lambda: [Question("second", fails, "try")])
    for fix in (False, True):
        [_, second] = await examine(server, fix=fix)
        assert (second.name, second.outcome, second.mend) == ("second", "failed", "try")
        assert said in second.what
        assert SECRET not in second.what


async def test_what_does_not_end_is_left_behind_with_its_clean_up() -> None:
    cleaned = asyncio.Event()

    async def hangs() -> list[Check]:
        try:
            await asyncio.Event().wait()
        finally:
            await cleaned.wait()
        return []

    def questions() -> list[Question]:
        return [Question("stuck", hangs, within=0.01), Question("after", _fine)]

    [_, stuck, fine] = await examine(Server("here", Question("first", _fine), questions), fix=False)
    assert (stuck.outcome, stuck.what) == ("failed", "There was no answer within 0.01 s.")
    assert fine.outcome == "ok"
    cleaned.set()


async def test_what_can_not_be_mended_says_why() -> None:
    async def missing() -> list[Check]:
        return [Check(name="index", outcome="failed", what="It is missing."), *await _fine()]

    def refuses() -> Coroutine[Any, Any, None]:
        raise OperationFailure(SECRET, 13)

    server = Server("here", Question("first", missing, fix=refuses), list)
    [index, fine] = await examine(server, fix=True)
    assert index.what.startswith("It is missing. It could not be mended: The database")
    assert (SECRET in index.what, fine.what) == (False, "It is.")
