"""Every page names settings, codes, files, commands and other pages: all of them exist."""

import importlib
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, cast

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from dev import binaries
from dev.http_api import TOKENS
from exports import errors
from exports.api.settings import ApiSettings
from exports.cli.app import app
from exports.codec_server.settings import CodecSettings
from exports.settings import Settings
from tests.support import pages
from tests.support.paths import REPOSITORY

_each_page = pytest.mark.parametrize("page", pages.ALL, ids=pages.name)
_FOLDERS: Final = "exports|workflows|activities|dev|tests|compose|docs|benchmarks"


@_each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(REPOSITORY), link
        assert not anchor or anchor in pages.anchors(target), link


@_each_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.-])(?:{_FOLDERS})/[\w./-]*\w", pages.text(page))
    rates = {"exports/s", "exports/h"}
    assert [path for path in named if not (REPOSITORY / path).exists() and path not in rates] == []


def test_every_test_that_is_named_without_its_folder_is_in_the_fault_suite() -> None:
    named = re.findall(r"`(test_\w+\.py)`", pages.text(pages.DOCS / "reliability.md"))
    assert named
    assert {name for name in named if not (REPOSITORY / "tests/chaos" / name).exists()} == set()


@_each_page
def test_every_name_of_the_code_that_is_mentioned_exists(page: Path) -> None:
    for dotted in re.findall(r"`(exports(?:\.\w+)+)\b", pages.without_code(pages.text(page))):
        if not dotted.endswith((".toml", ".md")):
            assert _resolves(dotted), dotted


def _resolves(dotted: str) -> bool:
    path, _, last = dotted.rpartition(".")
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(path), last)
    return True


@_each_page
def test_every_setting_that_is_mentioned_exists(page: Path) -> None:
    kinds = (Settings, ApiSettings, CodecSettings)
    fields = [name for kind in kinds for name in kind.model_fields]
    # `make dev` writes some more, for those who ask over HTTP.
    of_clients = {"EXPORTS_API_URL", *TOKENS}
    of_tests = {"EXPORTS_TEST_MONGO_URI"}
    known = {f"EXPORTS_{name.upper()}" for name in fields} | of_clients | of_tests
    assert set(re.findall(r"\bEXPORTS_[A-Z0-9_]+", pages.text(page))) <= known


@_each_page
def test_every_error_code_that_is_mentioned_exists(page: Path) -> None:
    known = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ExportError)
    }
    assert set(re.findall(r"\bE_[A-Z_]+", pages.text(page))) <= known


@_each_page
def test_every_command_of_exports_parses(page: Path) -> None:
    for words in pages.commands(page, "exports"):
        _parse(words)


@pytest.mark.parametrize(
    "wrong",
    [["wait"], ["schedule", "start"], ["show", "ID", "more"], ["create", "x", "--formt", "csv"]],
    ids=" ".join,
)
def test_a_command_of_exports_that_does_not_exist_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        _parse(wrong)


_GROUP: Final = cast("TyperGroup", typer.main.get_command(app))


def _parse(words: list[str]) -> None:
    group = _GROUP
    context = group.make_context("exports", list(words))
    rest = list(words)
    while rest:
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        if isinstance(command, TyperCommand):
            if rest:  # a sentence may name the command alone
                command.make_context(name, list(rest), parent=context)
            return
        group = cast("TyperGroup", command)


@_each_page
def test_every_target_of_make_and_its_variables_exist(page: Path) -> None:
    makefile = pages.text(REPOSITORY / "Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for words in pages.commands(page, "make"):
        given = [word.partition("=")[0] for word in words if "=" in word]
        assert {word for word in words if "=" not in word and word != "..."} <= targets, words
        # PYTHON is set with ?=, the others are read where they are used.
        assert [name for name in given if f"$({name})" not in makefile] == [], words


@_each_page
def test_every_command_of_temporal_exists_with_its_options(page: Path) -> None:
    for words in pages.commands(page, "temporal"):
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        command = words[: next((i for i, w in enumerate(words) if w.startswith("-")), len(words))]
        described = _described(*command)
        assert f"\n  temporal {' '.join(command)} [flags]\n" in described, words
        for option in options:
            known = rf"{option}(?![\w-])"
            assert re.search(known, described + _described("options")), words


def test_a_command_of_temporal_that_does_not_exist_would_be_noticed() -> None:
    assert "\n  temporal workflow wait [flags]\n" not in _described("workflow", "wait")
    assert "\n  temporal workflow result [flags]\n" in _described("workflow", "result")


@cache
def _described(*command: str) -> str:
    """Return what the Temporal CLI says of one of its commands; of `options`, all common ones."""
    asked = command if command == ("options",) else (*command, "--help")
    described = subprocess.run(  # noqa: S603 -- words of our own pages
        [binaries.temporal(), *asked], capture_output=True, text=True, check=True
    )
    return described.stdout


def test_the_index_leads_to_every_page() -> None:
    listed = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (pages.DOCS / "README.md", pages.DOCS / "decisions" / "README.md")
        for link in pages.links(page)
    }
    assert {page for page in pages.DOCS.rglob("*.md") if page.name != "README.md"} <= listed


def test_pictures_are_small_and_described() -> None:
    for page in pages.ALL:
        text = pages.text(page)
        shown = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)
        shown += [(alt, path) for path, alt in re.findall(r'<img src="([^"]+)".* alt="(.*)"', text)]
        for description, path in shown:
            assert len(description) > 40, path
            assert (page.parent / path).stat().st_size < 150_000, path


def test_decisions_are_numbered_without_gaps_and_have_the_same_sections() -> None:
    decisions = sorted((pages.DOCS / "decisions").glob("0*.md"))
    for number, page in enumerate(decisions, 1):
        assert page.name.startswith(f"{number:04}-")
        assert pages.text(page).startswith(f"# {number}. ")
        headings = re.findall(r"^## (.*)$", pages.text(page), re.MULTILINE)
        assert [heading for heading in headings if heading != "Alternatives"] == [
            "Context",
            "Decision",
            "Consequences",
        ], page.name
