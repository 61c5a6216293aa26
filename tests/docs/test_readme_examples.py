"""What README.md tells people to type works as it stands there."""

import asyncio
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast, get_args

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from exports import names
from exports.cli.app import app
from exports.client import ExportClient
from exports.errors import ParamsError
from exports.models import CancelRequest, ExportRequest, TaskStatus
from exports.reports.definition import Measure
from exports.reports.file import load_reports
from exports.reports.rows.definition import COLUMN_TYPES
from exports.settings import Settings
from tests.support import readme
from tests.support.command_line import environment_of
from tests.support.paths import REPOSITORY
from tests.support.service import Service, insert_orders, open_service, working
from workflows.export import ExportWorkflow

_SCRIPTS: Final = Path(sys.executable).parent


def _commands(program: str) -> Iterator[list[str]]:
    """Yield the arguments of every command, in blocks for a shell and within sentences."""
    blocks = "\n".join(readme.blocks("sh", readme.text())).replace("\\\n", " ")
    for line in (*blocks.splitlines(), *readme.quoted(readme.without_code(readme.text()))):
        if line.startswith(f"{program} "):
            yield shlex.split(line)[1:]


def test_every_target_of_make_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = list(_commands("make"))
    assert {"demo", "test", "dev"} <= {words[0] for words in named} <= targets
    variables = {word.partition("=")[0] for words in named for word in words[1:]}
    assert {name for name in variables if f"$({name})" not in makefile} == set()


def test_every_command_of_exports_parses() -> None:
    named = list(_commands("exports"))
    assert len(named) > 10
    for words in named:
        _parse(words)


@pytest.mark.parametrize(
    "wrong",
    [["creat"], ["schedule", "start"], ["show"], ["create", "x", "--formt", "csv"]],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        _parse(wrong)


def _parse(words: list[str]) -> None:
    group = cast("TyperGroup", typer.main.get_command(app))
    context = group.make_context("exports", list(words))
    rest = list(words)
    while True:
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, list(rest), parent=context)
        if isinstance(command, TyperCommand):
            return
        group = cast("TyperGroup", command)


def test_every_command_of_temporal_says_what_the_code_says() -> None:
    done: set[str] = set()
    for words in _commands("temporal"):
        action = " ".join(words[:2])
        done.add(action)
        given = dict(zip(words[2::2], words[3::2], strict=True))
        match action:
            case "workflow start":
                assert given["--type"] == names.EXPORT_WORKFLOW
                assert given["--task-queue"] == names.DEFAULT_TASK_QUEUE
                request = ExportRequest.model_validate_json(given["--input"])
                load_reports(REPOSITORY / "exports.toml").named(request.type).check_params(
                    request.params
                )
            case "workflow signal":
                assert callable(getattr(ExportWorkflow, given["--name"]))
                sent = json.loads(given["--input"])
                assert CancelRequest.model_validate(sent).reason == sent["reason"]
            case "schedule trigger":
                assert given["--schedule-id"] == names.schedule_id(names.DEFAULT_TASK_QUEUE)
            case _:
                assert action == "workflow result"
    assert done == {"workflow start", "workflow result", "workflow signal", "schedule trigger"}


async def test_the_first_export_by_command_line_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path
) -> None:
    await insert_orders(service.database)
    [block] = readme.blocks("sh", readme.section("With the command line"))
    out = await _ran(service, temporal_address, tmp_path, "bash", "-euc", block)
    assert "statsAnnual" in out
    assert "done" in out
    assert [file.name for file in (tmp_path / "demo-exports").iterdir()] == [
        "statsMonthly-2026-10.xlsx"
    ]


async def test_the_first_export_by_python_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path
) -> None:
    await insert_orders(service.database)
    [program] = readme.blocks("python", readme.section("With Python"))
    (tmp_path / "first.py").write_text(program, encoding="utf-8")
    out = await _ran(service, temporal_address, tmp_path, "python", "first.py")
    assert "done finished" in out
    assert (tmp_path / "demo-exports" / "statsAnnual-2026.csv").is_file()


def test_every_method_of_the_client_is_shown_or_named() -> None:
    [listed] = re.findall(r"`ExportClient` also has (.*?), which", readme.text())
    [program] = readme.blocks("python", readme.section("With Python"))
    shown = re.findall(r"(?:client|ExportClient)\.(\w+)\(", program)
    public = [name for name in vars(ExportClient) if not name.startswith("_")]
    assert sorted([*readme.quoted(listed), *shown]) == sorted(public)


async def _ran(service: Service, temporal_address: str, folder: Path, *command: str) -> str:
    (folder / "demo-exports").mkdir()
    environment = environment_of(service.settings, temporal_address)
    path = f"{_SCRIPTS}{os.pathsep}{environment.get('PATH', os.defpath)}"
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment | {"PATH": path, "PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_reports_that_are_shown_give_rows(
    settings: Settings, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = readme.section("A report")
    [program] = readme.blocks("python", section)
    (tmp_path / "team_reports.py").write_text(program, encoding="utf-8")
    (tmp_path / "shown.toml").write_text("\n".join(readme.blocks("toml", section)), "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "team_reports", raising=False)
    changed = settings.model_copy(update={"reports_file": tmp_path / "shown.toml"})
    async with open_service(changed, temporal_address) as service, working(service):
        await insert_orders(service.database)
        await service.database["orders"].update_many({}, {"$set": {"kind": "refund"}})
        refunds = await service.exported("refunds")
        day = await service.exported("ordersOfDay", params={"day": "2026-10-02"}, format="xlsx")
        with pytest.raises(ParamsError, match="2026-10-31"):
            await service.create("ordersOfDay", params={"day": {"$gt": ""}})
    assert (refunds.status, refunds.rows) == (TaskStatus.DONE, 3)
    assert refunds.file_name == "退款 Refunds-2026-10.csv"
    assert (day.status, day.rows) == (TaskStatus.DONE, 1)
    assert day.file_name == "ordersOfDay-2026-10-02.xlsx"


async def test_the_row_level_report_that_is_shown_gives_rows(
    settings: Settings, temporal_address: str, tmp_path: Path
) -> None:
    [block] = readme.blocks("toml", readme.section("Row-level exports"))
    (tmp_path / "shown.toml").write_text(block, "utf-8")
    changed = settings.model_copy(update={"reports_file": tmp_path / "shown.toml"})
    async with open_service(changed, temporal_address) as service, working(service):
        await insert_orders(service.database)
        await service.database["orders"].update_many({}, {"$set": {"kind": "sale"}})
        params = {"from": "2026-10-01", "to": "2026-10-03"}
        sales = await service.exported("sales", params=params)
    assert (sales.status, sales.rows) == (TaskStatus.DONE, 2)


def test_the_rules_of_all_column_types_are_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", readme.section("Row-level exports"), re.MULTILINE)
    assert tuple(listed) == COLUMN_TYPES


def test_the_report_that_is_shown_names_every_operation() -> None:
    block = readme.blocks("toml", readme.section("A report"))[0]
    assert "measures" in tomllib.loads(block)["reports"]["refunds"]
    [listed] = re.findall(r"measures\] +# (.*)", block)
    assert tuple(re.split(", | or ", listed)) == get_args(Measure.model_fields["op"].annotation)
