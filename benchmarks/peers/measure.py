"""Runs the same exports on each tool, and measures throughput, latency and a crash."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

from bson import ObjectId

from benchmarks.bench import keep_quiet
from benchmarks.peers import sample, steps
from benchmarks.peers.figures import Aftermath, Amounts, Figures
from benchmarks.peers.servers import PeerServers
from benchmarks.peers.tools import CeleryTool, Dbos, Procrastinate, Temporal, Tool
from dev.process import CrashError, Process
from dev.servers import Servers
from dev.stack import REPOSITORY, inherited
from exports.connections import Connections
from exports.models import TaskStatus
from exports.names import FILES, TASKS_COLLECTION, preview_key
from exports.settings import Settings
from exports.tasks.asking import AskingStore
from exports.tasks.collection import TaskCollection

CONCURRENCY: Final = 8
_WARM_UP: Final = 8
_SUBMITTERS: Final = 8
_PATIENCE: Final = 60.0  # seconds
_LOOK: Final = 0.02  # seconds
_CLOSE_LOOK: Final = 0.003  # seconds
_numbers = count(1)


async def run(amounts: Amounts, say: Callable[[str], None] = lambda _: None) -> list[Figures]:
    """Measure all tools on servers of their own; ours comes first.

    Args:
        amounts: How much is done.
        say: Gets messages about the progress.

    Raises:
        CrashError: A server or a worker did not start.
        TimeoutError: Exports did not end in time, although no worker was killed.
        RuntimeError: An export failed.
    """
    async with _opened() as bench:
        figures = {tool.name: Figures(tool.name, tool.recovery) for tool in bench.tools}
        for number in range(1, amounts.rounds + 1):
            for tool in bench.tools:
                say(f"{tool.name}: round {number} of {amounts.rounds}")
                await bench.time(tool, amounts, figures[tool.name])
        one_at_a_time = asyncio.Lock()

        async def crash(tool: Tool) -> None:
            figures[tool.name].aftermath = await bench.crash(tool, amounts, one_at_a_time)
            say(f"{tool.name}: counting the exports after the crash")

        # Those that wait longest come first.
        async with asyncio.TaskGroup() as group:
            for tool in sorted(bench.tools, key=lambda tool: -tool.notices_within):
                group.create_task(crash(tool))
        made = set[str]().union(*(one.files for one in figures.values()))
        if len(made) > 1:
            raise RuntimeError("The tools did not all make the same file.")
        return list(figures.values())


class _Bench:
    """Everything that is open while the tools are measured."""

    def __init__(
        self, *, tools: Sequence[Tool], connections: Connections, settings: Settings, logs: Path
    ) -> None:
        self.tools = tools
        self._store = connections.store
        database = connections.mongo[settings.mongo_database]
        self._tasks = AskingStore(TaskCollection(database))
        self._documents = database[TASKS_COLLECTION]
        self._logs = logs

    async def time(self, tool: Tool, amounts: Amounts, figures: Figures) -> None:
        """Measure how many exports a second, then how long one takes alone."""
        async with AsyncExitStack() as closing:
            await self._worker(tool, closing)
            await tool.open(closing)
            await self._done(await self._submitted(tool, _WARM_UP), _PATIENCE)
            began = time.monotonic()
            asked = await self._submitted(tool, amounts.exports)
            await self._done(asked, _PATIENCE + amounts.exports)
            figures.per_second.append(amounts.exports / (time.monotonic() - began))
            figures.files |= await self._hashes(asked)
            alone: list[float] = []
            for _ in range(amounts.alone):
                began = time.monotonic()
                await self._done(await self._submitted(tool, 1), _PATIENCE, look=_CLOSE_LOOK)
                alone.append(time.monotonic() - began)
            figures.latencies.append(alone)

    async def crash(self, tool: Tool, amounts: Amounts, alone: asyncio.Lock) -> Aftermath:
        """Kill the worker in the middle of its work, start another, and count what is done.

        Until its new worker is ready, a tool has the machine for itself. Then all tools wait at
        the same time, because they mostly wait for their own timeouts.
        """
        async with AsyncExitStack() as closing:
            async with alone:
                worker = await self._worker(tool, closing)
                await tool.open(closing)
                await self._done(await self._submitted(tool, _WARM_UP), _PATIENCE)
                asked = await self._submitted(tool, amounts.in_flight)
                await self._done(asked, _PATIENCE, some=max(1, amounts.in_flight // 3))
                worker.kill()
                killed = time.monotonic()
                await self._worker(tool, closing)
                # So that the exports that only waited in the queue have been done.
                await asyncio.sleep(amounts.in_flight / 20)
            seconds: float | None = None
            try:
                await self._done(asked, amounts.bound - (time.monotonic() - killed))
                seconds = time.monotonic() - killed
            except TimeoutError:
                pass
            return await self._aftermath(tool, asked, seconds)

    async def _aftermath(self, tool: Tool, asked: set[str], seconds: float | None) -> Aftermath:
        # The last exports may run steps again, if the tool has not stored yet that they ended.
        await asyncio.sleep(1)
        open_tasks = asked - await self._ended(asked)
        held = await tool.held(open_tasks)
        ran = steps.read(self._logs / "steps")
        repeated = {
            step: {task_id for task_id in asked if ran[task_id, step] > 1} for step in steps.STEPS
        }
        objects = await asyncio.to_thread(
            lambda: {item.key for task in asked for item in self._store.objects(f"{FILES}{task}/")}
        )
        return Aftermath(
            done=len(asked) - len(open_tasks),
            stuck=len(held),
            lost=len(open_tasks - held),
            repeated={step: len(tasks) for step, tasks in repeated.items()},
            doubled=len(set[str]().union(*repeated.values())),
            files=len(objects - set(map(preview_key, objects))),
            seconds=seconds,
        )

    async def _submitted(self, tool: Tool, number: int) -> set[str]:
        """Store tasks and ask for their exports, some side by side as several clients would."""
        turns = asyncio.Semaphore(_SUBMITTERS)

        async def submit() -> str:
            async with turns:
                task = await self._tasks.create(sample.REQUEST)
                await tool.submit(task.id)
                return task.id

        return set(await asyncio.gather(*(submit() for _ in range(number))))

    async def _done(
        self, asked: set[str], within: float, *, look: float = _LOOK, some: int | None = None
    ) -> None:
        """Wait until all exports, or some of them, are done."""
        async with asyncio.timeout(max(within, 0)):
            while len(await self._ended(asked)) < (some or len(asked)):  # noqa: ASYNC110 -- in other processes
                await asyncio.sleep(look)

    async def _ended(self, asked: set[str]) -> set[str]:
        found = self._documents.find({"_id": {"$in": _ids(asked)}}, {"status": True, "error": True})
        done: set[str] = set()
        async for document in found:
            match document["status"]:
                case TaskStatus.DONE:
                    done.add(str(document["_id"]))
                case TaskStatus.FAILED:
                    raise RuntimeError(f"An export failed: {document.get('error')}")
                case _:
                    pass
        return done

    async def _hashes(self, asked: set[str]) -> set[str]:
        query = {"_id": {"$in": _ids(asked)}}
        return set(await self._documents.distinct("sha256", query))

    async def _worker(self, tool: Tool, closing: AsyncExitStack) -> Process:
        process = Process(
            f"The worker of {tool.name}",
            [sys.executable, *tool.command(CONCURRENCY)],
            log=self._logs / f"worker-{next(_numbers)}.log",
            environment=dict(os.environ)
            | dict(tool.environment(CONCURRENCY))
            | {steps.FILE: str(self._logs / "steps"), "PYTHONUNBUFFERED": "1"},
            cwd=REPOSITORY,
            grace=5,
        )
        closing.push_async_callback(asyncio.to_thread, process.stop)
        deadline = time.monotonic() + _PATIENCE
        while tool.ready not in process.log.read_text("utf-8", errors="replace"):
            process.check()
            if time.monotonic() > deadline:
                raise CrashError(f"{process.name} was not ready in time.{process.tail()}")
            await asyncio.sleep(_LOOK)
        return process


@asynccontextmanager
async def _opened() -> AsyncGenerator[_Bench]:
    keep_quiet()
    async with AsyncExitStack() as closing:
        servers, peer_servers = Servers(), PeerServers()
        closing.callback(peer_servers.stop)
        closing.callback(servers.stop)
        await asyncio.gather(
            asyncio.to_thread(servers.start), asyncio.to_thread(peer_servers.start)
        )
        for name in os.environ.keys() - inherited().keys():
            del os.environ[name]
        os.environ |= {
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_NAMESPACE": "default",
            "EXPORTS_REPORTS_FILE": str(REPOSITORY / "exports.toml"),
            **servers.endpoints.environment(),
        }
        settings = Settings.load()
        connections = await Connections.open(settings, closing)
        await sample.load(connections.mongo[settings.mongo_database])
        procrastinate = Procrastinate(peer_servers)
        await procrastinate.prepare()
        tools = [
            Temporal(settings, connections.temporal),
            CeleryTool(peer_servers, "threads", 0),
            CeleryTool(peer_servers, "prefork", 2),
            Dbos(peer_servers),
            procrastinate,
        ]
        yield _Bench(
            tools=tools,
            connections=connections,
            settings=settings,
            logs=peer_servers.directory,
        )


def _ids(task_ids: set[str]) -> list[ObjectId]:
    return [ObjectId(task_id) for task_id in task_ids]
