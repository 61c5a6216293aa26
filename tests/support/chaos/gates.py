"""Holds worker processes inside of steps: a gate is a file, which is shut as long as it is there.

A step that is held is under way to the server: it beats, and hears that it is to be cancelled.
"""

import asyncio
from pathlib import Path
from typing import Final

from temporalio import activity

GATES: Final = "CHAOS_GATES"
"""Names the folder of the gates in a worker's environment."""
_LOOK: Final = 0.2


class Gates:
    """The gates of a test.

    Args:
        folder: Of its own; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def shut(self, step: str, workflow: str = "") -> None:
        """Hold a step from now on, of one workflow or of all."""
        (self.folder / f"{step} {workflow}").touch()

    def open_all(self) -> None:
        """Let all of them go on."""
        for gate in self.folder.iterdir():
            gate.unlink()


async def pass_gate(folder: Path) -> None:
    """Wait, in an activity, while a gate before it is shut."""
    info = activity.info()
    gates = [folder / f"{info.activity_type} {which}" for which in ("", info.workflow_id)]
    while any(gate.exists() for gate in gates):
        activity.heartbeat()
        await asyncio.sleep(_LOOK)
