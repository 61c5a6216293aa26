"""The `temporal` command, as an operator uses it."""

import asyncio
import json
from typing import Any

from dev import binaries
from dev.endpoints import Endpoints


async def temporal(endpoints: Endpoints, *arguments: str) -> str:
    """Run it against the embedded server; return its output.

    Raises:
        AssertionError: It failed.
    """
    process = await asyncio.create_subprocess_exec(
        *(binaries.temporal(), *arguments, "--address", endpoints.temporal_address),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def temporal_json(endpoints: Endpoints, *arguments: str) -> Any:
    """Run it and return its answer as JSON."""
    return json.loads(await temporal(endpoints, *arguments, "--output", "json"))
