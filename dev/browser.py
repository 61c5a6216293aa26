"""`make test-page` needs a Chromium: finds one, or installs it.

    python -m dev.browser

Exit codes: 0 there is one, 1 there is none, and none could be installed; the output says why.
`make test-page` goes on without it, unless the variable CI is set.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_APT: Final = (
    ("apt-get", "update", "--quiet=2"),
    # The font is the smallest one with Chinese characters: for pictures of the page.
    (
        *("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends"),
        *("chromium", "fonts-wqy-microhei"),
    ),
)
_PLAYWRIGHT: Final = (sys.executable, "-m", "playwright", "install", "chromium")
_QUIET: Final = (
    *("--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
_LAST_LINES: Final = 5


class NoBrowserError(Exception):
    """There is no Chromium, and it could not be installed; the message says why."""


def find() -> Path | None:
    """Return the Chromium of this system, if it has one."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return None if found is None else Path(found)


def options() -> list[str]:
    """Return the arguments with which the tests start it."""
    # As root, Chromium starts only without its sandbox.
    return [*_QUIET, "--no-sandbox"] if os.geteuid() == 0 else list(_QUIET)


def ensure() -> None:
    """Install a Chromium, unless there is one: the system's, or else that of Playwright.

    Raises:
        NoBrowserError: It could not be installed.
    """
    if find() is not None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium, only once …", flush=True)
        for command in _APT:
            _run(command, {**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    else:
        _run(_PLAYWRIGHT, os.environ)  # does nothing if it is there


def _run(command: tuple[str, ...], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise NoBrowserError(f"{' '.join(command)} failed:\n{said}")


def main() -> int:
    """Install a Chromium, unless there is one; return the exit code."""
    try:
        ensure()
    except NoBrowserError as error:
        print(
            "NO TEST OF THE PAGE WAS RUN: there is no Chromium, and it could not be installed: "
            f"{error}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
