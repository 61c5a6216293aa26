"""How long the database is waited for."""

import pytest
from pydantic import SecretStr

from exports.connections import mongo_client


@pytest.mark.parametrize(
    ("query", "selection", "connect"),
    [
        ("", 5, 5),
        ("?connecttimeoutms=90000", 5, 90),
        ("?serverSelectionTimeoutMS=9000&tls=false", 9, 5),
    ],
)
async def test_the_driver_gives_up_in_seconds_unless_the_uri_says_otherwise(
    query: str, selection: int, connect: int
) -> None:
    async with mongo_client(SecretStr(f"mongodb://127.0.0.1:1/{query}")) as client:
        assert client.options.server_selection_timeout == selection
        assert client.options.pool_options.connect_timeout == connect
