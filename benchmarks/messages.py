"""From an export that is done until a webhook has told its receiver.

`statsMonthly` over one order on the embedded servers, by an idle worker: from the `finishedAt` of
the document, which is set right before the write of `done`, until the receiver has read the whole
request. The receiver is on the same machine, without TLS, and answers at once. In between are the
write of `done`, the start of the delivery's workflow, and its first attempt.
"""

import asyncio
import base64
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Final

from benchmarks.bench import USER, Bench, opened
from benchmarks.month import MONTH, REPORT
from benchmarks.plan import Plan
from benchmarks.results import Outcome, Row
from benchmarks.small import side_by_side
from benchmarks.waiting import p95
from exports.clock import now_ms

_AT_A_TIME: Final = (1, 20)
_KEY_BYTES: Final = 32


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    times = plan.pick(full=200, quick=50, smoke=2)
    rows = {
        (at_a_time, figure): Row(
            what=f"{times} exports, {at_a_time} at a time: {figure}", unit="ms", ours=[]
        )
        for at_a_time in _AT_A_TIME
        for figure in ("p50", "p95")
    }
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    settings = {
        "EXPORTS_WEBHOOK_ENCRYPTION_KEY": f"bench:{key}",
        "EXPORTS_WEBHOOK_LOOPBACK": "on",
    }
    for _ in range(plan.runs):
        async with opened(**settings) as bench, _listening() as receiver:
            orders = bench.database["orders"]
            await orders.insert_one({"createdAt": datetime(2026, 10, 1, 12, tzinfo=UTC)})
            await bench.client.webhooks.add(receiver.url, created_by=USER)
            with bench.process("worker.py"):
                await _measured(bench, receiver, 2, 1)  # opens connections
                for at_a_time in _AT_A_TIME:
                    took = await _measured(bench, receiver, times, at_a_time)
                    rows[at_a_time, "p50"].ours.append(median(took))
                    rows[at_a_time, "p95"].ours.append(p95(took))
    return Outcome(rows=[*rows.values()])


class _Receiver:
    """A server that gets messages.

    Attributes:
        url: Its address.
        came: When the message of each task has come, in epoch milliseconds.
    """

    def __init__(self) -> None:
        self.url = ""
        self.came = defaultdict[str, asyncio.Future[int]](asyncio.Future)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        length = 0
        while (line := (await reader.readline()).decode().strip().lower()) != "":
            name, _, value = line.partition(":")
            length = int(value) if name == "content-length" else length
        message = json.loads(await reader.readexactly(length))
        came = self.came[message["data"]["id"]]
        if not came.done():
            came.set_result(now_ms())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()


@asynccontextmanager
async def _listening() -> AsyncGenerator[_Receiver]:
    receiver = _Receiver()
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield receiver


async def _measured(bench: Bench, receiver: _Receiver, times: int, at_a_time: int) -> list[float]:
    """Return the milliseconds from the end of each export until its message has come."""
    took: list[float] = []

    async def told() -> None:
        asked = await bench.client.create(REPORT, MONTH, created_by=USER, notify=["webhook"])
        came = await receiver.came[asked.id]
        done = await bench.client.get(asked.id, created_by=USER)
        took.append(came - (done.finished_at or came))

    await side_by_side(told, times, at_a_time)
    return took
