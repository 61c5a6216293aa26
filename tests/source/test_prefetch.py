"""The next item is fetched while the current one is processed, and the stream is always closed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from exports.source.prefetch import one_ahead


class _Stream:
    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.asked = 0
        self.closed = False
        self._count = count
        self._fails_at = fails_at

    async def items(self) -> AsyncGenerator[int]:
        try:
            for index in range(self._count):
                self.asked = index + 1
                if index == self._fails_at:
                    raise OSError
                await asyncio.sleep(0)
                yield index
        finally:
            self.closed = True


async def test_items_come_in_order_and_the_stream_is_closed() -> None:
    stream = _Stream(5)

    assert [item async for item in one_ahead(stream.items())] == [0, 1, 2, 3, 4]
    assert stream.closed


async def test_one_item_is_fetched_ahead_and_no_more() -> None:
    stream = _Stream(9)
    async with aclosing(one_ahead(stream.items())) as items:
        assert await anext(items) == 0
        for _ in range(20):
            await asyncio.sleep(0)
        assert stream.asked == 2
    assert stream.closed


async def test_an_error_of_the_stream_comes_after_the_items_before_it() -> None:
    items = one_ahead(_Stream(5, fails_at=2).items())

    assert [await anext(items), await anext(items)] == [0, 1]
    with pytest.raises(OSError):  # noqa: PT011 -- raised above, without a message
        await anext(items)


async def test_a_reader_that_is_cancelled_closes_the_stream() -> None:
    stream = _Stream(10**9)

    async def read() -> None:
        async with aclosing(one_ahead(stream.items())) as items:
            async for _ in items:
                await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    while stream.asked < 10:
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert stream.closed
