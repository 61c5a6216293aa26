"""Tests that pass and leak: `tests/access/test_leaks.py` runs them, and that run must fail.

Pytest does not collect a file with this name by itself.
"""

import logging

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from tests.support.leaks import CANARY

_TYPE = SearchAttributeKey.for_keyword("ExportType")


@pytest.mark.parametrize("part", ["input", "memo", "attribute"])
async def test_that_leaves_a_link_in_temporal(temporal_client: Client, part: str) -> None:
    link = "http://store/file?X-Amz-Signature=0123"
    await temporal_client.start_workflow(
        "Nobody",
        link if part == "input" else "",
        id=f"leaking-{part}",
        task_queue="nobody",
        memo={"link": link} if part == "memo" else None,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(_TYPE, link)] if part == "attribute" else []
        ),
    )


def test_that_logs_a_row() -> None:
    logging.getLogger("exports").warning("Can't read %s", CANARY)
