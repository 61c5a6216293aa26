"""The next item of a stream is on its way while one works on this."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

_T = TypeVar("_T")


async def one_ahead(items: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    """Yield the items of a stream, one of them fetched ahead.

    Args:
        items: The stream; closed at the end, however that comes about.
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
