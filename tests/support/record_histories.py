"""Records the histories that `test_replay.py` replays: `make record-histories`.

Only missing histories are recorded. The existing ones show that the present code can continue runs
that began under older code. To record one again, because a workflow was changed on purpose, rename
the old file and keep it as long as such runs may be open: see docs/changing-workflows.md.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dev.endpoints import Endpoints
from dev.servers import Servers
from tests.support import (
    recorded_cancels,
    recorded_ends,
    recorded_messages,
    recorded_troubles,
    recording,
)
from tests.support.paths import HISTORIES, REPORTS
from tests.support.service import Service, open_service
from tests.support.settings import settings_of

RECORDINGS: Final = recording.RECORDINGS
MODULES: Final = (recorded_ends, recorded_troubles, recorded_cancels, recorded_messages)
_LONGEST: Final = 120
"""Seconds of one recording."""
_LENIENT: Final = """
[reports.lenient]
kind = "rows"
collection = "orders"
time_field = "createdAt"
on_mismatch = "null"
columns.quantity = { field = "quantity", type = "integer" }
"""


def _without_places(history: str) -> str:
    """Remove the paths and the name of the recording machine."""
    bare = re.sub(r'"(stackTrace|identity)": "(?:[^"\\]|\\.)*"', r'"\1": ""', history)
    return json.dumps(json.loads(bare), separators=(",", ":"), ensure_ascii=False) + "\n"


@asynccontextmanager
async def _temporary_service(endpoints: Endpoints, name: str) -> AsyncGenerator[Service]:
    with TemporaryDirectory() as folder:
        reports = Path(folder) / "reports.toml"
        reports.write_text(REPORTS.read_text(encoding="utf-8") + _LENIENT, encoding="utf-8")
        settings = settings_of(
            endpoints,
            database=f"recorded-{name}"[:63],
            prefix=f"{name}/",
            task_queue=f"recorded-{name}",
            reports=reports,
        )
        async with open_service(settings, endpoints.temporal_address) as service:
            yield service


async def main(chosen: list[str]) -> None:
    """Record the chosen histories, or else the missing ones, on servers of its own."""
    HISTORIES.mkdir(exist_ok=True)
    missing = [name for name in RECORDINGS if not (HISTORIES / f"{name}.json").exists()]
    with Servers() as servers:
        for name in chosen or missing:
            async with (
                _temporary_service(servers.endpoints, name) as service,
                asyncio.timeout(_LONGEST),
            ):
                run = await RECORDINGS[name](service)
                history = await run.fetch_history()
            path = HISTORIES / f"{name}.json"
            path.write_text(_without_places(history.to_json()), encoding="utf-8")
            size = path.stat().st_size
            print(f"{path.name}: {len(history.events)} events, {size:,} bytes", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
