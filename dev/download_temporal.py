"""Lets the SDK download the Temporal CLI: `python -m dev.download_temporal DIRECTORY`.

A program of its own, because the SDK downloads only as a step of starting a server.
"""

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def main(directory: str) -> None:
    """Start a server from a downloaded CLI, and stop it again."""
    environment = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] -- its search attributes are of any type
        download_dest_dir=directory
    )
    await environment.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except RuntimeError as error:
        sys.exit(str(error))
