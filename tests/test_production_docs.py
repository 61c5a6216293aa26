"""docs/production.md names settings, codes, files and variables: each has to exist."""

import json
import re
from pathlib import Path
from typing import Final

from exports import errors, names
from exports.codec_settings import CodecSettings
from exports.settings import Settings
from tests import compose_file
from tests.compose_file import REPOSITORY

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


def test_every_file_that_the_page_links_to_is_there() -> None:
    linked = [path for path in re.findall(r"\]\(([^)]+)\)", _text()) if "://" not in path]
    assert linked
    assert [path for path in linked if not (_PAGE.parent / Path(path)).is_file()] == []


def test_each_search_attribute_is_registered_on_the_page() -> None:
    registered = re.findall(r"--name (\w+) --type Keyword", _text())
    assert sorted(registered) == sorted(names.SEARCH_ATTRIBUTES)


def test_the_policies_can_be_pasted() -> None:
    aws, cos = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", _text(), re.DOTALL))
    assert {statement["Effect"] for statement in aws["Statement"]} == {"Allow"}
    assert not any("*" in action for part in aws["Statement"] for action in part["Action"])
    assert not any("*" in action for part in cos["statement"] for action in part["action"])
