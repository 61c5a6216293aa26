"""A newcomer tries it with data and a report of their own."""

import os
import shlex
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from dev import load
from tests.support import dev_stack, processes
from tests.support.paths import DATA, REPOSITORY

EIGHT_LINES = """\
[reports.trips]
collection = "trips"
time_field = "date"
period = "month"
timezone = "America/New_York"
group_by = { base = "dispatching_base_number" }
measures.trips = { op = "sum", field = "trips" }
measures.vehicles = { op = "sum", field = "active_vehicles" }
"""


@pytest.mark.timeout(400)
def test_a_newcomer_exports_a_file_of_their_own_with_a_report_of_eight_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = dev_stack.with_other_ports(tmp_path / "dev")
    reports = tmp_path / "my.toml"
    reports.write_text(EIGHT_LINES, encoding="utf-8")
    csv = str(DATA / "uber-daily-2015.csv")
    options = ("--data-dir", str(data_dir), "--reports", str(reports))
    with processes.running_with_few_orders("dev.stack", *options) as stack:
        dev_stack.wait_until_ready(stack, data_dir / "env")

        of_trips = ["--data-dir", str(data_dir), csv, "trips", "--time-format", "%m/%d/%Y"]
        loaded = subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "-m", "dev.load", *of_trips],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "Loaded 354 rows into the collection trips." in loaded
        assert "Their times are from 2015-01-01 to 2015-02-28." in loaded

        assert load.main(of_trips) == 2
        assert capsys.readouterr().err == (
            "E_REQUEST: The collection trips has 354 documents. To replace them, add REPLACE=1.\n"
        )
        assert load.main([*of_trips, "--replace"]) == 0

        # The sample orders are replaced without `REPLACE=1`: they are not the user's own data.
        assert load.main(["--data-dir", str(data_dir), csv, "orders"]) == 0
        assert "The sample orders will be replaced." in capsys.readouterr().err

        [command] = [line.strip() for line in loaded.splitlines() if "exports create" in line]
        assert "create trips -p year=2015 -p month=2 --format xlsx" in command
        exports = [sys.executable, "-m", "exports.cli.app", *shlex.split(command)[1:-1]]
        environment = dict(
            line.split("=", 1) for line in shlex.split((data_dir / "env").read_text())
        )
        subprocess.run(  # noqa: S603 -- our own program
            [*exports, str(tmp_path)], env=os.environ | environment, cwd=REPOSITORY, check=True
        )
        stack.send_signal(signal.SIGTERM)
        dev_stack.output_of(stack)

    sheet = openpyxl.load_workbook(tmp_path / "trips-2015-02.xlsx").worksheets[0]
    rows = [row for row in sheet.iter_rows(values_only=True) if isinstance(row[0], datetime)]
    assert len(rows) == 168
    assert len({str(row[1]) for row in rows}) == 6
    assert sum(int(str(row[2])) for row in rows) == 2_221_581
    assert sum(int(str(row[3])) for row in rows) == 236_497
