"""docs/production.md names settings, codes, files and variables: each has to exist."""

import re
from pathlib import Path
from typing import Final

import pytest

from exports import errors, names
from exports.codec_server.settings import CodecSettings
from exports.settings import Settings
from tests.support import compose_file
from tests.support.paths import REPOSITORY

_PAGE: Final = REPOSITORY / "docs" / "production.md"


def _text() -> str:
    return _PAGE.read_text(encoding="utf-8")


def test_every_setting_on_the_page_exists() -> None:
    named = set(re.findall(r"\bEXPORTS_[A-Z0-9_]+", _text()))
    assert named
    fields = (*Settings.model_fields, *CodecSettings.model_fields)
    assert named <= {f"EXPORTS_{field.upper()}" for field in fields}


def test_every_error_code_on_the_page_exists() -> None:
    named = set(re.findall(r"\bE_[A-Z_]+", _text()))
    assert named
    assert named <= {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ExportError)
    }


def test_every_variable_of_compose_is_on_the_page() -> None:
    assert {name for name in compose_file.variables() if name not in _text()} == set()


def _headings(page: Path) -> set[str]:
    found = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", [_PAGE, _PAGE.with_name("access.md")], ids=lambda page: page.name)
def test_every_file_and_heading_that_a_page_links_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = [path for path in re.findall(r"\]\(([^)]+)\)", text) if "://" not in path]
    assert linked
    for link in linked:
        path, _, heading = link.partition("#")
        assert (_PAGE.parent / path).exists(), link
        assert not heading or heading in _headings(_PAGE.parent / path), link


def test_each_search_attribute_is_registered_on_the_page() -> None:
    registered = re.findall(r"--name (\w+) --type Keyword", _text())
    assert sorted(registered) == sorted(names.SEARCH_ATTRIBUTES)
