"""What `docs/clients.md` tells people to write works as it is, on a running API."""

import asyncio
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Final

import openpyxl
import pytest

from tests.support import pages, typescript
from tests.support.api import OWNER, open_api
from tests.support.command_line import environment_of
from tests.support.parquet_files import parquet_table
from tests.support.paths import REPOSITORY
from tests.support.service import PATIENCE, Service, insert_orders

_PAGE: Final = pages.DOCS / "clients.md"
_LANGUAGES: Final = ("sh", "python", "ts", "js")


def _example(title: str) -> str:
    section = pages.section(_PAGE, title)
    [found] = [block for language in _LANGUAGES for block in pages.blocks(language, section)]
    return found


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the TypeScript of the page, and with what it imports."""
    folder = tmp_path_factory.mktemp("programs")
    typescript.prepare(folder)
    for name in ("fetch", "EventSource"):
        (folder / f"{name}.ts").write_text(_example(f"TypeScript: {name}"), encoding="utf-8")
    receiver = pages.section(pages.DOCS / "webhooks.md", "Receive in TypeScript")
    (folder / "webhooks.ts").write_text(pages.blocks("ts", receiver)[0], encoding="utf-8")
    (folder / "temporal.ts").write_text(_example("The Temporal SDK"), encoding="utf-8")
    return folder


def test_no_example_is_left_out() -> None:
    text = pages.text(_PAGE)
    assert sum(len(pages.blocks(language, text)) for language in _LANGUAGES) == 7


def test_the_types_of_the_typescript_are_right(programs: Path) -> None:
    checked = subprocess.run(  # noqa: S603 -- the locked compiler
        typescript.tsc(programs), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


async def test_every_example_gets_its_file(
    service: Service, temporal_address: str, tmp_path: Path, programs: Path
) -> None:
    await insert_orders(service.database)
    async with open_api(service) as api:
        settings = environment_of(service.settings, temporal_address)
        environment = {**settings, **api.variables, "PYTHONPATH": str(REPOSITORY)}

        async def run(*command: str | Path, cwd: Path = tmp_path) -> str:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    out, err = await process.communicate()
            finally:
                if process.returncode is None:  # this one hangs, or another one has failed
                    process.kill()
                    await process.wait()
            assert process.returncode == 0, f"{command}: {err.decode()}"
            return out.decode()

        async def run_typescript(name: str) -> str:
            program = programs / f"{name}.ts"
            code = program.read_text(encoding="utf-8")
            # The service of a test has its own task queue.
            queue = f'taskQueue: "{service.settings.task_queue}"'
            program.write_text(code.replace('taskQueue: "exports"', queue), encoding="utf-8")
            return await run(typescript.NODE, program)

        async def run_mini_program() -> str:
            code = _example("Mini-programs").replace("EXPORTS_API_URL", api.url)
            program = tmp_path / "mini.mjs"
            program.write_text(code.replace("EXPORTS_API_TOKEN", api.token[OWNER]), "utf-8")
            return await run(typescript.NODE, "--import", typescript.WX, program)

        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(example)
                for example in (
                    run("bash", "-euc", _example("curl")),
                    run(sys.executable, "-c", _example("Python")),
                    run(sys.executable, "-c", _example("Python over HTTP")),
                    run_typescript("fetch"),
                    run_typescript("EventSource"),
                    run_mini_program(),
                    run_typescript("temporal"),
                )
            ]
        curl, python, over_http, fetched, followed, mini, temporal = (
            example.result() for example in running
        )
        assert "event: end" in curl
        assert openpyxl.load_workbook(tmp_path / "statsMonthly-2026-10.xlsx").sheetnames
        assert ".xlsx http" in python
        assert "X-Amz-Signature=" in python
        assert (over_http, fetched) == ("", "")
        with (tmp_path / "statsMonthly-2026-10.csv").open(encoding="utf-8-sig") as csv:
            assert "Revenue" in csv.readline()
        fetched_file = (tmp_path / "statsMonthly-2026-10.parquet").read_bytes()
        assert parquet_table(fetched_file).num_rows == 3
        assert f"done {api.url}/exports/" in followed
        assert mini == "opened downloaded xlsx\n"
        assert openpyxl.load_workbook(BytesIO((tmp_path / "downloaded").read_bytes())).sheetnames
        assert "status: 'done'" in temporal
        assert (await api.ask("GET", "/exports/october-for-u1")).json()["data"]["rows"] == 3
