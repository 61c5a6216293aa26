"""Sends what no HTTP library would send, byte by byte."""

import asyncio
import contextlib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


async def asked(address: tuple[str, int], sent: bytes) -> Answer | None:
    """Send these bytes, and return the first answer; None if the server closed without one."""
    reader, writer = await asyncio.open_connection(*address)
    # It may answer, and close, before it has read everything.
    with contextlib.suppress(ConnectionError):
        writer.write(sent)
        writer.write_eof()
        came = await reader.read()
        writer.close()
        await writer.wait_closed()
        if came:
            head, _, body = came.partition(b"\r\n\r\n")
            [length] = re.findall(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
            return Answer(int(head.split()[1]), body[: int(length)])
    return None
