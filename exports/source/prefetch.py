"""Fetches the next item of a stream while the current one is processed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

_T = TypeVar("_T")


async def one_ahead(items: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    """Yield the items of a stream; while one is processed, the next is fetched.

    Args:
        items: The stream. It is closed at the end, also after an error.
    """
    async with aclosing(items):
        coming = asyncio.ensure_future(anext(items, None))
        try:
            while (item := await coming) is not None:
                coming = asyncio.ensure_future(anext(items, None))
                yield item
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
