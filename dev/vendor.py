"""`make vendor`: copies the libraries of the exports page from the npm registry.

    python -m dev.vendor

To update one, change its version in `exports/api/page/vendor/vendor.json` and run this. It writes
the files, the licences, and what was fetched: the integrity of each package, as npm gives it, and
the SHA-256 of each file.
"""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
VENDOR: Final = REPOSITORY / "exports" / "api" / "page" / "vendor"
LOCK: Final = VENDOR / "vendor.json"
_IMPORTS: Final = {
    "preact": "preact.js",
    "preact/hooks": "preact-hooks.js",
    "@preact/signals-core": "signals-core.js",
}
"""Which file a library means by a name. A browser would need an inline import map for names."""
_FROM: Final = re.compile(r'from *"([^."][^"]*)"')
_SOURCE_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)


def main() -> int:
    """Fetch all packages; return the exit code."""
    lock: dict[str, Any] = json.loads(LOCK.read_text())
    for package in lock["packages"]:
        archive = _fetched(package["name"], package["version"])
        package["integrity"] = (
            f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}"
        )
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            about: dict[str, Any] = json.loads(_read(tar, "package.json"))
            package["licence"] = about["license"]
            licence = f"LICENSE-{package['name'].replace('/', '-').lstrip('@')}.txt"
            (VENDOR / licence).write_text(_read(tar, "LICENSE"))
            package["sha256"] = {licence: _digest(VENDOR / licence)}
            for there, here in package["files"].items():
                (VENDOR / here).parent.mkdir(exist_ok=True)
                (VENDOR / here).write_text(_for_browsers(_read(tar, there)))
                package["sha256"][here] = _digest(VENDOR / here)
        print(f"{package['name']} {package['version']}, {package['licence']}")
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")
    return 0


def _fetched(name: str, version: str) -> bytes:
    """Return a package as the registry has it; npm checks its integrity."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{name}@{version}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        [archive] = Path(folder).iterdir()
        return archive.read_bytes()


def _read(tar: tarfile.TarFile, path: str) -> str:
    found = tar.extractfile(f"package/{path}")
    if found is None:
        raise FileNotFoundError(path)
    return found.read().decode()


def _for_browsers(source: str) -> str:
    """Import files in place of names, and name no source map, which is not served."""
    source = _FROM.sub(lambda found: f'from"./{_IMPORTS[found[1]]}"', source)
    return _SOURCE_MAP.sub("", source).rstrip() + "\n"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
