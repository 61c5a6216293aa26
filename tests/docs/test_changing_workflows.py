"""What `docs/changing-workflows.md` says of the code is so."""

import re
from importlib import import_module
from pathlib import Path

import workflows
from tests.support.paths import REPOSITORY

_PAGE = REPOSITORY / "docs/changing-workflows.md"
_CALL = re.compile(r"workflow\.patched\(([\w.]+)\)")


def test_the_page_has_every_patch_that_there_is() -> None:
    text = _PAGE.read_text("utf-8").partition("### The patches that there are")[2]
    listed = re.findall(r"^\| `([a-z-]+)`", text.partition("\n## ")[0], re.MULTILINE)

    assert sorted(listed) == sorted(_patches())


def _patches() -> set[str]:
    found: set[str] = set()
    for path in Path(workflows.__path__[0]).glob("*.py"):
        for name in _CALL.findall(path.read_text("utf-8")):
            value = import_module(f"workflows.{path.stem}")
            for part in name.split("."):
                value = getattr(value, part)
            found.add(str(value))
    return found
