"""Work that blocks, in a thread that nothing waits for at the end."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")


async def in_own_thread(work: Callable[[], _T], name: str) -> _T:
    """Do something that may block for minutes, and return its result.

    Both asyncio and the interpreter wait for the threads of an executor before they end, and
    whoever else uses the executor waits for a free thread. This thread is nobody else's, and it is
    left behind if the caller is cancelled.

    Args:
        work: What to do.
        name: The name of the thread.
    """
    ended: Future[_T] = Future()
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 -- raised again where the result is awaited
            ended.set_exception(error)
        else:
            ended.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(ended)
