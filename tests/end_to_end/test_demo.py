"""What `make demo` promises to a newcomer. It starts its own servers."""

import csv
import json
import re
import signal
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import openpyxl

from tests.support import pages, processes

if TYPE_CHECKING:
    import subprocess


def demo(into: Path, *options: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    return processes.running_with_few_orders("dev.demo", "--into", str(into), *options)


def asked(url: str, token: str = "") -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=150) as answer:
        content: bytes = answer.read()
        return content


def test_a_newcomer_gets_two_finished_files_and_can_keep_the_servers(tmp_path: Path) -> None:
    with demo(tmp_path, "--keep") as process:
        said = processes.read_until(process, "curl ")
        left = processes.descendants(process.pid)
        assert len(left) >= 10  # three servers, the worker and the API, each with its guard
        links = dict(re.findall(r"^  (\w+) +(http://\S+/#token=\S+)$", said, re.MULTILINE))
        assert list(links) == ["u1", "u2", "operator"]
        page, token = links["u1"].split("#token=")
        assert b"<title>Exports</title>" in asked(page)
        mine = json.loads(asked(f"{page}exports", token))["data"]["items"]
        assert [export["status"] for export in mine] == ["done", "done"], "what the demo has made"
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=150)[0]
    assert process.returncode == 0
    assert not any(map(processes.is_alive, left))

    book = openpyxl.load_workbook(tmp_path / "statsMonthly-2026-10.xlsx")
    [annual] = tmp_path.glob("statsAnnual-2026*.csv")  # the year may not be over
    with annual.open(encoding="utf-8-sig", newline="") as file:
        months = {row[0] for row in csv.reader(file)}
    assert book.sheetnames[1:] == ["Chart", "About"]
    assert {"2026-01", "2026-10"} <= months

    assert "statsMonthly xlsx: done" in said
    assert "statsAnnual csv: done" in said
    row = r"\s+[\d,]+\s+[\d,]+\s+[\d.]+\s+" + re.escape(str(tmp_path))
    assert re.search(rf"^statsMonthly{row}/statsMonthly-2026-10\.xlsx$", said, re.MULTILINE)
    assert re.search(rf"^statsAnnual{row}/{re.escape(annual.name)}$", said, re.MULTILINE)
    assert re.search(r"http://127\.0\.0\.1:\d+/namespaces/default/workflows", said)
    assert not {"\x1b", "\r"} & set(said)
    # The README shows this output, with its own figures, ports and widths of columns.
    [shown] = pages.blocks("console", pages.text(pages.README))
    printed = _shape(said.replace(str(tmp_path), "demo-exports"))
    assert set(_shape(shown)[1:]) <= set(printed)


def _shape(output: str) -> list[str]:
    return [re.sub(r"\s+", " ", re.sub(r"[\d,.]*\d", "0", line)) for line in output.splitlines()]
