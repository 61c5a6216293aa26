"""What the demo and its readers can rely on in the sample orders."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from dev import orders


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    return orders.orders()


def test_there_are_fifty_thousand_orders_in_each_of_fourteen_months_up_to_the_last(
    sample: list[dict[str, Any]],
) -> None:
    months = {(order["createdAt"].year, order["createdAt"].month) for order in sample}
    assert len(sample) >= 50_000
    assert len(months) == 14
    assert (min(months), max(months)) == ((2025, 9), (2026, 10))


def test_the_end_can_be_chosen_and_crosses_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "ORDERS", 9_000)
    moments = [order["createdAt"] for order in orders.orders(date(2025, 2, 1))]
    assert datetime(2023, 12, 1, tzinfo=UTC) <= min(moments) < datetime(2023, 12, 2, tzinfo=UTC)
    assert datetime(2025, 1, 31, tzinfo=UTC) <= max(moments) < datetime(2025, 2, 1, tzinfo=UTC)


def test_the_orders_are_the_same_each_time(
    sample: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ORDERS", 9_000)
    assert orders.orders() == orders.orders()
    assert len({order["_id"] for order in sample}) == len(sample)


def test_a_tenant_trades_on_the_day_of_twenty_five_hours_before_and_after_the_change(
    sample: list[dict[str, Any]],
) -> None:
    new_york = ZoneInfo("America/New_York")
    offsets = {
        local.utcoffset()
        for order in sample
        if order["timezone"] == "America/New_York"
        and (local := order["createdAt"].astimezone(new_york)).date() == date(2025, 11, 2)
    }
    assert offsets == {timedelta(hours=-4), timedelta(hours=-5)}
    assert len({order["timezone"] for order in sample}) == 3


def test_amounts_are_exact_to_the_cent_and_refunds_are_negative(
    sample: list[dict[str, Any]],
) -> None:
    assert {order["kind"] for order in sample} == {"sale", "refund"}
    for order in sample:
        amount = order["amount"].to_decimal()
        assert amount.as_tuple().exponent == -2
        assert (amount < 0) == (order["kind"] == "refund")


@pytest.mark.parametrize("field", ["category", "note"])
@pytest.mark.parametrize("character", ["=", "+", "-", "@"])
def test_some_texts_look_like_formulas(
    sample: list[dict[str, Any]], field: str, character: str
) -> None:
    assert any(order[field].startswith(character) for order in sample)


def test_there_is_chinese_and_english_text(sample: list[dict[str, Any]]) -> None:
    categories = {order["category"] for order in sample}
    assert {"图书", "Books"} <= categories


async def test_loading_again_after_an_interrupted_load_gives_the_same_documents(
    mongo_database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ORDERS", 900)
    monkeypatch.setattr(orders, "_BATCH", 400)
    collection = mongo_database["orders"]
    expected = {order["_id"]: order["amount"] for order in orders.orders()}
    assert await orders.load(mongo_database) == 900
    cut = list(expected)[500]
    removed = await collection.delete_many({"_id": {"$gte": cut}})
    await collection.insert_one({"_id": "mine", "createdAt": datetime(2026, 1, 1, tzinfo=UTC)})

    assert await orders.load(mongo_database) == removed.deleted_count == 400
    assert await orders.load(mongo_database) == 0

    stored = {order["_id"]: order async for order in collection.find()}
    del stored["mine"]
    assert {key: order["amount"] for key, order in stored.items()} == expected
    assert "createdAt_1" in await collection.index_information()
