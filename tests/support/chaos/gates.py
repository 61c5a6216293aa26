"""Holds worker processes inside steps: a gate is a file, and it is shut as long as the file exists.

To the server, a step that is held is running: it sends heartbeats and hears of a cancel.
"""

import asyncio
from pathlib import Path
from typing import Final

from temporalio import activity

GATES: Final = "CHAOS_GATES"
"""The environment variable of a worker with the folder of the gates."""
_LOOK: Final = 0.2


class Gates:
    """The gates of a test.

    Args:
        folder: A folder for them; it is created.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def shut(self, step: str, workflow: str = "") -> None:
        """Hold a step from now on, of one workflow or of all."""
        (self.folder / f"{step} {workflow}").touch()

    def open_all(self) -> None:
        """Open all gates."""
        for gate in self.folder.iterdir():
            gate.unlink()


async def pass_gate(folder: Path) -> None:
    """Wait, in an activity, while its gate is shut."""
    info = activity.info()
    gates = [folder / f"{info.activity_type} {which}" for which in ("", info.workflow_id)]
    while any(gate.exists() for gate in gates):
        activity.heartbeat()
        await asyncio.sleep(_LOOK)
