"""What the command line promises before any server is asked."""

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from exports.cli.app import app
from exports.cli.boundary import OUTPUT_FAILED, guarded
from exports.cli.create import parse_params
from exports.cli.output import console, local_time, plain, show, task_parts
from exports.cli.progress import ProgressView
from exports.models import Stage, TaskStatus
from exports.tasks.task import ExportTask, Progress, TaskError
from tests.support.command_line import CommandLine
from tests.support.paths import REPOSITORY

COMMANDS = [
    "types",
    "create",
    "show",
    "list",
    "cancel",
    "renew",
    "retry",
    "sweep",
    "worker",
    "doctor",
]
SCHEDULE_COMMANDS = ["apply", "show", "pause", "resume", "trigger"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def task(**changes: object) -> ExportTask:
    values = {"id": "t1", "type": "statsMonthly", "status": "running", **changes}
    return ExportTask.model_validate(values)


def test_help_names_every_command_and_what_the_exit_codes_mean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert guarded(app, ["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {command} " in printed for command in [*COMMANDS, "schedule"])
    assert "Exit codes: 0 success, 1 the export failed" in printed
    assert guarded(app, ["schedule", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {command} " in printed for command in SCHEDULE_COMMANDS)


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS] + [["schedule", name] for name in SCHEDULE_COMMANDS],
)
def test_every_command_has_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(app, [*command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_exports_without_a_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(app, []) == 0
    assert "create" in capsys.readouterr().out


def test_help_does_not_import_the_libraries_of_the_servers() -> None:
    heavy = {"temporalio", "pymongo", "boto3", "pyarrow"}
    code = f"import sys, exports.cli.app; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 -- our own code


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("types >&-", 74, "The output cannot be written: it is closed.\n"), ("nonsense 2>&-", 2, "")],
)
def test_closed_output_is_reported(typed: str, code: int, said: str) -> None:
    ended = subprocess.run(  # noqa: S602 -- only a shell closes it
        f"{sys.executable} -m exports.cli.app {typed}",
        shell=True,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", said)


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert guarded(app, ["--version"]) == 0
    assert capsys.readouterr().out == f"exports {project['version']}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_to_a_full_disk_is_reported(options: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "-m", "exports.cli.app", "types", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            check=False,
            text=True,
        )
    assert ended.stderr == "The output cannot be written: No space left on device.\n"
    assert ended.returncode == OUTPUT_FAILED


def test_types_needs_only_the_reports_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reports = tmp_path / "mine.toml"
    reports.write_text(
        '[reports.sales]\ncollection = "c"\ntime_field = "t"\nperiod = "month"\n'
        'title = "月度"\n[reports.sales.measures]\nn = { op = "count" }\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("EXPORTS_REPORTS_FILE", str(reports))
    assert guarded(app, ["types"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["type", "title", "parameters", "formats"]
    assert "sales  月度" in line
    assert "year (integer, 1970 to 9998, required); month (integer, 1 to 12, required)" in line
    assert line.endswith("csv, csv.gz, ndjson, ndjson.gz, parquet, xlsx")

    assert guarded(app, ["types", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert (found["type"], found["title"]) == ("sales", "月度")
    assert found["formats"] == ["csv", "csv.gz", "ndjson", "ndjson.gz", "parquet", "xlsx"]
    assert found["params"][1] == {
        "name": "month",
        "type": "integer",
        "required": True,
        "values": "1 to 12",
        "title": None,
    }
    assert found["paramsSchema"]["properties"]["month"]["maximum"] == 12
    assert [column["name"] for column in found["columns"]] == ["day", "n"]


def test_types_reads_exports_toml_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert guarded(app, ["types"]) == 0
    assert "statsAnnual" in capsys.readouterr().out


CREATE = ["create", "statsMonthly"]


def test_a_parameter_that_is_given_several_times_has_several_values() -> None:
    assert parse_params(["year=2026", "region=a=b", "region=c"]) == {
        "year": "2026",
        "region": ["a=b", "c"],
    }


@pytest.mark.parametrize(
    ("arguments", "code", "about"),
    [
        (["frobnicate"], "E_REQUEST", "frobnicate"),
        (["show"], "E_REQUEST", "ID"),
        (["create"], "E_REQUEST", "TYPE"),
        (["list", "--status", "finished"], "E_REQUEST", "'pending', 'running', 'done'"),
        (["list", "--limit", "0"], "E_REQUEST", "--limit"),
        (["list", "--colour"], "E_REQUEST", "--colour"),
        (["retry"], "E_REQUEST", "--all"),
        (["retry", "t1", "--all"], "E_REQUEST", "--all"),
        (["retry", "t1", "--code", "E_STORE"], "E_REQUEST", "--all"),
        (["retry", "--all", "--since", "soon"], "E_REQUEST", "duration"),
        (["schedule", "stop"], "E_REQUEST", "stop"),
        ([*CREATE, "-p", "2026"], "E_REQUEST", "name=value"),
        ([*CREATE, "-p", "=2026"], "E_REQUEST", "name=value"),
        ([*CREATE, "--output", "/no/such/place/f.csv"], "E_REQUEST", "does not exist"),
        ([*CREATE, "--output", "no-such-directory/"], "E_REQUEST", "does not exist"),
        ([*CREATE, "--output", "/dev/null"], "E_REQUEST", "must be a file or a directory"),
        ([*CREATE, "-p", "year=\udcff"], "E_REQUEST", "UTF-8"),
    ],
)
def test_invalid_input_is_explained_and_exits_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, about: str
) -> None:
    assert guarded(app, arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"{code}: ")
    assert about in printed.err

    assert guarded(app, [*arguments, "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["error"]["code"] == code
    assert about in answer["error"]["msg"]


@pytest.mark.parametrize("command", [["list"], ["worker"], ["worker", "--check"]])
@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_missing_settings_are_named(command: list[str], options: list[str]) -> None:
    refused = await CommandLine({}).run(*command, *options)
    assert refused.code == 2
    said = refused.json["error"] if options else refused.err
    assert "E_SETTINGS" in str(said)
    assert "EXPORTS_MONGO_URI, EXPORTS_S3_BUCKET" in str(said)


def test_a_mistake_in_the_reports_file_is_reported_with_its_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reports = tmp_path / "mine.toml"
    reports.write_text('[reports.sales]\ncolection = "c"\n')
    monkeypatch.setenv("EXPORTS_REPORTS_FILE", str(reports))
    assert guarded(app, ["types", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "E_REPORTS"
    assert f"{reports}: reports.sales.colection" in error["msg"]


def test_a_long_argument_is_not_repeated_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(app, ["x" * 10_000]) == 2
    assert len(capsys.readouterr().err) < 600


def test_progress_is_a_moving_bar_with_stage_and_rows_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with ProgressView(terminal) as view:
        view.update(task(progress=Progress(stage=Stage.AGGREGATE, rows=1234)))
    shown = terminal.getvalue()
    assert "\x1b[" in shown
    assert "━" in shown
    assert "aggregate, 1,234 rows" in shown


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, "xterm"), (Terminal, "dumb")])
def test_progress_is_a_line_per_stage_without_a_terminal(
    stream: type[io.StringIO], term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    piped = stream()
    error = TaskError(code="E_SOURCE", msg="away")
    with ProgressView(piped) as view:
        view.update(task(status="pending"))
        for rows in (0, 100, 200):
            view.update(task(progress=Progress(stage=Stage.AGGREGATE, rows=rows)))
        waits = Progress(stage=Stage.AGGREGATE, rows=200, waiting_for="store")
        for _ in range(2):
            view.update(task(progress=waits))
        waiting = task(status="pending", error=error, retries=1, next_run_at=2_000)
        view.update(waiting.model_copy(update={"progress": Progress(stage=Stage.AGGREGATE)}))
        view.update(task(status=TaskStatus.DONE, rows=300))
    assert "\x1b" not in piped.getvalue()
    assert "\r" not in piped.getvalue()
    lines = [line.removeprefix("statsMonthly csv: ") for line in piped.getvalue().splitlines()]
    assert lines == [
        "queued, 0 rows",
        "aggregate, 0 rows",
        "aggregate, 200 rows, waiting for the object store",
        f"attempt 1 failed (E_SOURCE), next attempt at {local_time(2_000)}",
        "done, 300 rows",
    ]


def test_nothing_is_wrapped_or_coloured_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    piped = io.StringIO()
    console(piped).print("word " * 100, style="red")
    assert piped.getvalue() == "word " * 100 + "\n"


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\x9b31m", "a\u202eb", "a\u2028b"])
def test_text_from_a_document_cannot_control_the_terminal(text: str) -> None:
    assert plain(text).isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in plain(text)


@pytest.mark.parametrize("text", ["گزارش\N{ZERO WIDTH NON-JOINER}ها", "10\N{NO-BREAK SPACE}000"])
def test_text_is_shown_with_the_characters_that_its_language_needs(text: str) -> None:
    assert plain(text) == text


def test_a_person_is_told_which_columns_have_values_that_were_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warnings = [{"code": "W_NOT_FINITE", "column": "revenue", "count": 1200}]
    show(*task_parts(task(status="done", warnings=warnings)))
    assert "warning" in capsys.readouterr().out.split("W_NOT_FINITE: 1,200 in revenue")[0]


@pytest.mark.parametrize("millis", [10**18, -(10**18)])
def test_a_number_that_is_not_a_time_is_shown_as_it_is(millis: int) -> None:
    assert local_time(millis) == str(millis)
