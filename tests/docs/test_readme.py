"""README.md names settings, files, codes and numbers, and so do the pages below docs/: all true."""

import ast
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from pydantic import TypeAdapter

from activities import boundary
from dev.orders import ORDERS
from exports import names
from exports.codec_server.settings import CodecSettings
from exports.errors import ExportError
from exports.models import DEFAULT_MAX_RETRIES, DEFAULT_UNITS_SIDE_BY_SIDE, TaskStatus
from exports.settings import Settings
from exports.temporal.schedule import SWEEP_EVERY
from tests.support import compose_file, readme
from tests.support.paths import REPOSITORY
from workflows import policies

_PAGES: Final = (readme.PAGE, *sorted((REPOSITORY / "docs").rglob("*.md")))
_CODE: Final = ("exports", "workflows", "activities", "dev")
_IN_WORDS: Final = {3: "three", 4: "four", 5: "five", 6: "six"}


@pytest.mark.parametrize(("place", "settings"), [(0, Settings), (1, CodecSettings)])
def test_the_tables_of_settings_are_the_settings(
    place: int, settings: type[Settings | CodecSettings]
) -> None:
    def shown(default: object) -> str:
        if default in (None, "", ()):
            return "not set"
        if isinstance(default, timedelta):
            default = TypeAdapter(timedelta).dump_python(default, mode="json")
        return f"`{default}`"

    assert list(readme.tables(readme.section("Settings")))[place] == [
        [
            f"`EXPORTS_{name.upper()}`",
            "required" if field.is_required() else shown(field.default),
            field.description,
        ]
        for name, field in settings.model_fields.items()
    ]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_mentioned_exists(page: Path) -> None:
    fields = (*Settings.model_fields, *CodecSettings.model_fields)
    known = {f"EXPORTS_{name.upper()}" for name in fields}
    assert set(re.findall(r"\bEXPORTS_[A-Z0-9_]+", page.read_text(encoding="utf-8"))) <= known


def test_the_table_of_statuses_has_each_of_them() -> None:
    statuses = [readme.quoted(row[0])[0] for row in readme.rows("When things fail")]
    assert statuses == [status.value for status in TaskStatus]


def test_the_waits_and_limits_are_those_of_the_code() -> None:
    said = readme.text()
    first, second = (policies.retry_delay(failed).total_seconds() for failed in (1, 2))
    assert f"`nextRunAt` in {first:.0f} s, then {second:.0f} s" in said
    assert f"`maxRetries` ({DEFAULT_MAX_RETRIES}) is reached" in said
    silent = policies.AGGREGATE_STEP.heartbeat.total_seconds()
    assert f"after {silent:.0f} s without a heartbeat" in said
    assert f"{_IN_WORDS[policies.MOST_WORKERS_LOST]} workers in a row" in said
    assert f"{_IN_WORDS[DEFAULT_UNITS_SIDE_BY_SIDE]} at a time" in said
    minutes, rest = divmod(SWEEP_EVERY, timedelta(minutes=1))
    assert not rest
    assert f"Every {_IN_WORDS[minutes]} minutes" in said
    assert f"{ORDERS:,} sample orders" in said


def test_the_table_of_steps_is_that_of_the_policies() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    steps = next(rows for rows in readme.tables(page) if rows[0][0] == "claim")
    limits = {step: (longest, silent) for step, longest, silent, _ in steps}

    def shown(limit: timedelta) -> str:
        hours, rest = divmod(limit, timedelta(hours=1))
        return f"{hours} h" if hours and not rest else f"{limit // timedelta(minutes=1)} min"

    for step, policy in {
        "claim": policies.CLAIM_STEP,
        "aggregate": policies.AGGREGATE_STEP,
        "upload": policies.UPLOAD_STEP,
        "writeback, to `done`": policies.WRITEBACK_STEP,
        "writeback, to `failed` or `cancelled`": policies.WRITEBACK_STEP,
        "discard": policies.CLEANUP_STEP,
    }.items():
        silent = f"{policy.heartbeat.total_seconds():.0f} s"
        assert limits.pop(step) == (shown(policy.start_to_close), silent)
    assert not limits
    assert f"as many as fit into {shown(policies.LAST_WORD_WITHIN)}" in page
    assert f"| {policies.CLEANUP.maximum_attempts}; then the next sweep does it |" in page


def _classes(base: type[ExportError]) -> Iterator[type[ExportError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _classes(kind)


def _retried() -> dict[str, bool]:
    """Return each code that has a class, and whether a run tries again."""
    codes: dict[str, bool] = {}
    for kind in _classes(ExportError):
        # The boundary has one of its own, for what nobody expected.
        if kind.__module__ in (ExportError.__module__, boundary.__name__):
            codes[kind.code] = codes.get(kind.code, False) or not kind.permanent
    return codes


def _written(folder: str) -> Iterator[str]:
    """Yield the codes that stand in the code of a folder."""
    for file in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)) if re.fullmatch(r"E_[A-Z_]+", text):
                    yield text
                case _:
                    pass


def _listed_codes() -> list[str]:
    return [readme.quoted(row[0])[0] for row in readme.rows("Error codes")]


def test_the_table_of_codes_has_each_of_them_once() -> None:
    listed = _listed_codes()
    assert len(listed) == len(set(listed))
    assert set(listed) == {*_retried(), *(code for folder in _CODE for code in _written(folder))}


def test_the_table_of_codes_says_what_is_retried() -> None:
    retried = _retried()
    for cell, _, said, _ in readme.rows("Error codes"):
        [code] = readme.quoted(cell)
        assert said in ("yes", "no", "–"), code
        if code in retried and said != "–":
            assert (said == "yes") is retried[code], code


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_code_that_is_mentioned_is_in_the_table(page: Path) -> None:
    named = set(re.findall(r"\bE_[A-Z_]+", page.read_text(encoding="utf-8")))
    assert named <= set(_listed_codes())


def _tracked() -> list[str]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a checkout")
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"],  # noqa: S607 -- wherever the system has it
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listing.stdout.splitlines() if (REPOSITORY / path).exists()]


def _mapped() -> list[str]:
    return [path for row in readme.rows("File map") for path in readme.quoted(row[0])]


def test_everything_on_the_file_map_is_there_once() -> None:
    mapped = _mapped()
    assert len(mapped) == len(set(mapped))
    for path in mapped:
        assert (REPOSITORY / path).exists(), path
        assert (REPOSITORY / path).is_dir() == path.endswith("/"), path


def test_everything_at_the_top_is_on_the_file_map() -> None:
    top = {re.sub(r"/.*", "/", path) for path in _tracked()}
    assert {path for path in _mapped() if "/" not in path.rstrip("/")} == top


def test_every_module_is_on_the_file_map() -> None:
    modules = {
        path
        for path in _tracked()
        if path.split("/")[0] in _CODE and path.endswith(".py") and _has_code(REPOSITORY / path)
    }
    assert {path for path in _mapped() if "/" in path and path.endswith(".py")} == modules


def _has_code(file: Path) -> bool:
    """Return whether a module has more than a docstring."""
    return len(ast.parse(file.read_text(encoding="utf-8")).body) > 1


def test_the_ports_of_compose_are_those_of_its_file() -> None:
    published = re.findall(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+", compose_file.text())
    said = [
        (readme.quoted(variable)[0], address.strip("`").rpartition(":")[2])
        for _, address, variable in readme.rows("Docker Compose")
    ]
    assert sorted(said) == sorted(published)
    assert {name for name, _ in said} <= set(compose_file.variables())


def test_the_search_attributes_are_those_that_exports_carry() -> None:
    said = re.findall(r"`(Export[A-Z]\w+)`", readme.section("In the Web UI"))
    assert said == list(names.SEARCH_ATTRIBUTES)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    content = readme.without_code(page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", content):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(REPOSITORY), link
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), link


def _anchors(page: str) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", readme.without_code(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    content = readme.without_code(page.read_text(encoding="utf-8"))
    folders = "|".join((*_CODE, "tests", "compose", "docs"))
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", content):
        assert (REPOSITORY / path).exists(), path


def test_the_pictures_are_small_and_described() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", readme.text())
    assert [path for _, path in pictures] == ["docs/images/pipeline.svg", "docs/images/web-ui.png"]
    for description, path in pictures:
        assert len(description) > 40, path
        assert (REPOSITORY / path).stat().st_size < 300_000, path
