"""Asks everything, of all servers at the same time."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

from exports.doctor.bucket import BucketDoctor
from exports.doctor.check import Check, examine
from exports.doctor.mongo import MongoDoctor
from exports.doctor.reports import ReportsDoctor
from exports.doctor.settings import check_settings
from exports.doctor.temporal import TemporalDoctor
from exports.models import WireModel

_CLOSED_WITHIN: Final = 5.0  # seconds


class Examination(WireModel):
    """What the doctor found.

    Attributes:
        ok: Whether no check failed.
        checks: The checks of each server, in the order in which they are shown.
    """

    ok: bool
    checks: dict[str, list[Check]]

    def count(self, outcome: str) -> int:
        """Return how many checks have an outcome."""
        return sum(check.outcome == outcome for group in self.checks.values() for check in group)


async def examined(*, fix: bool = False) -> Examination:
    """Look at the settings of the environment, and at all that they name.

    Without valid settings of a worker no server is asked.

    Args:
        fix: Whether what can be created safely is created: the Schedule, indexes, search
            attributes and lifecycle rules.
    """
    settings, checks = check_settings()
    found = {"settings": checks}
    if settings is not None:
        closing = AsyncExitStack()
        servers = [
            TemporalDoctor(settings).server(),
            MongoDoctor(settings, closing).server(),
            BucketDoctor(settings, closing).server(),
            ReportsDoctor(settings, closing).server(),
        ]
        answers = await asyncio.gather(*(examine(server, fix=fix) for server in servers))
        found |= {server.name: answer for server, answer in zip(servers, answers, strict=True)}
        with suppress(TimeoutError):  # a server that does not answer is not waited for
            async with asyncio.timeout(_CLOSED_WITHIN):
                await closing.aclose()
    failures = any(check.outcome == "failed" for group in found.values() for check in group)
    return Examination(ok=not failures, checks=found)
