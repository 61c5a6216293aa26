"""What the README and the quickstart tell people to type works as it is."""

import asyncio
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest
from temporalio.client import WorkflowFailureError

from dev import binaries
from exports.models import TaskStatus
from tests.support import pages
from tests.support.api import open_api
from tests.support.command_line import environment_of
from tests.support.paths import REPOSITORY
from tests.support.service import Service, insert_orders, working

_QUICKSTART: Final = pages.DOCS / "quickstart.md"
_SCRIPTS: Final = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("page", "title"),
    [(pages.README, "Ask for an export"), (_QUICKSTART, "With the command line")],
    ids=["README", "quickstart"],
)
async def test_an_export_by_command_line_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path, page: Path, title: str
) -> None:
    await insert_orders(service.database)
    block = pages.blocks("sh", pages.section(page, title))[0]
    out = await _ran(service, temporal_address, tmp_path, "bash", "-euc", block)
    assert "statsAnnual" in out
    assert "done" in out
    assert (tmp_path / "statsMonthly-2026-10.xlsx").is_file()


@pytest.mark.parametrize(
    ("page", "title", "file"),
    [
        (pages.README, "Ask for an export", "statsMonthly-2026-10.xlsx"),
        (_QUICKSTART, "Over HTTP", "statsAnnual-2025.xlsx"),
    ],
    ids=["README", "quickstart"],
)
async def test_an_export_over_http_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path, page: Path, title: str, file: str
) -> None:
    await insert_orders(service.database)
    shown = pages.blocks("sh", pages.section(page, title))
    [block] = [block for block in shown if "curl " in block]
    async with open_api(service) as api:
        out = await _ran(
            service, temporal_address, tmp_path, "bash", "-euc", block, **api.variables
        )
    assert "event: end" in out
    assert (tmp_path / file).is_file()


async def test_the_python_of_the_readme_gives_a_link(
    service: Service, temporal_address: str, tmp_path: Path
) -> None:
    await insert_orders(service.database)
    [block] = pages.blocks("python", pages.section(pages.README, "Ask for an export"))
    [imported] = re.findall(r"# (from .*)", block)
    program = (
        f"import asyncio\n{imported}\nasync def main():\n"
        f"{textwrap.indent(block, '    ')}asyncio.run(main())\n"
    )
    out = await _ran(service, temporal_address, tmp_path, "python", "-c", program)
    assert "X-Amz-Signature=" in out


async def test_the_python_of_the_quickstart_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path
) -> None:
    await insert_orders(service.database)
    [program] = pages.blocks("python", pages.section(_QUICKSTART, "With Python"))
    (tmp_path / "first.py").write_text(program, encoding="utf-8")
    out = await _ran(service, temporal_address, tmp_path, "python", "first.py")
    assert "done finished" in out
    assert re.search(r"statsAnnual-2026(-until-[-0-9]+)?\.csv", out)  # the year may not be over


@pytest.mark.parametrize(
    ("block", "task"),
    [
        (pages.blocks("sh", pages.section(pages.README, "Ask for an export"))[2], "october"),
        (
            pages.blocks(
                "sh", pages.section(_QUICKSTART, "With the `temporal` CLI, or any Temporal SDK")
            )[0],
            "october-by-hand",
        ),
    ],
    ids=["README", "quickstart"],
)
async def test_an_export_by_the_temporal_cli_gives_a_file(
    service: Service, temporal_address: str, tmp_path: Path, block: str, task: str
) -> None:
    await insert_orders(service.database)
    # The service of a test has its own task queue; `show` may run before the claim.
    block = block.replace("--task-queue exports ", f"--task-queue {service.settings.task_queue} ")
    waiting = f"temporal workflow result --workflow-id {task}\nexports show {task}\n"
    block = block.replace(f"exports show {task}\n", waiting)
    out = await _ran(service, temporal_address, tmp_path, "bash", "-euc", block)
    assert "statsMonthly" in out
    assert (await service.ended(task)).status is TaskStatus.DONE


async def test_the_temporal_cli_cancels_an_export(
    idle_service: Service, temporal_address: str, tmp_path: Path
) -> None:
    section = pages.section(_QUICKSTART, "With the `temporal` CLI, or any Temporal SDK")
    queue = idle_service.settings.task_queue
    block = pages.blocks("sh", section)[1].replace(
        "--task-queue exports ", f"--task-queue {queue} "
    )
    start_and_signal, _, trigger = block.rpartition("temporal schedule trigger")
    assert trigger == " --schedule-id exports-sweep\n"
    await _ran(idle_service, temporal_address, tmp_path, "bash", "-euc", start_and_signal)
    async with working(idle_service):
        with pytest.raises(WorkflowFailureError):  # it closes as Canceled
            await idle_service.temporal.get_workflow_handle("year-by-hand").result()
    ended = await idle_service.client.get("year-by-hand", created_by="u1")
    assert ended.status is TaskStatus.CANCELLED
    assert ended.cancel_reason == "wrong year"


async def _ran(
    service: Service, temporal_address: str, folder: Path, *command: str, **variables: str
) -> str:
    environment = environment_of(service.settings, temporal_address) | variables
    found = (str(_SCRIPTS), str(Path(binaries.temporal()).parent), environment.get("PATH", ""))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment | {"PATH": os.pathsep.join(found), "PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
