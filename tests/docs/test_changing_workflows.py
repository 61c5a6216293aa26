"""What `docs/changing-workflows.md` says of the code is so."""

import re
from importlib import import_module

from tests.support.paths import REPOSITORY

_PAGE = REPOSITORY / "docs/changing-workflows.md"
_CALL = re.compile(r"workflow\.patched\(([^)]+)\)")


def test_the_page_has_every_patch_that_there_is() -> None:
    text = _PAGE.read_text("utf-8").partition("### The patches that there are")[2]
    listed = re.findall(r"^\| `([a-z-]+)`", text.partition("\n## ")[0], re.MULTILINE)
    used = {
        eval(name, vars(import_module(f"workflows.{path.stem}")))  # noqa: S307 -- our own constant or text
        for path in (REPOSITORY / "workflows").glob("*.py")
        for name in _CALL.findall(path.read_text("utf-8"))
    }

    assert sorted(listed) == sorted(used)
