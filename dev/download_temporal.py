"""Lets the SDK download the Temporal CLI: `python -m dev.download_temporal DIRECTORY`.

A separate program, because the SDK downloads the CLI only when it starts a server.
"""

import asyncio
import sys

from temporalio.testing import WorkflowEnvironment


async def main(directory: str) -> None:
    """Start a server with a downloaded CLI, and stop it again."""
    environment = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] -- the types of its search attributes are unknown
        download_dest_dir=directory
    )
    await environment.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except RuntimeError as error:
        sys.exit(str(error))
