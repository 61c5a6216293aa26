"""A worker needs a Temporal server that is not too old."""

import pytest
from temporalio.api.workflowservice.v1 import GetSystemInfoResponse
from temporalio.bridge.services_generated import WorkflowService
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from exports.errors import ExportError, TemporalRefusedError, UnreachableError, VersionError
from exports.temporal.server import check_temporal_version


def _answers(monkeypatch: pytest.MonkeyPatch, answer: str | RPCStatusCode) -> None:
    """Answer as a stand-in for another server."""

    async def get_system_info(*_: object, **__: object) -> GetSystemInfoResponse:
        if isinstance(answer, RPCStatusCode):
            raise RPCError("no", answer, b"")
        return GetSystemInfoResponse(server_version=answer)

    monkeypatch.setattr(WorkflowService, "get_system_info", get_system_info)


async def test_the_server_of_these_tests_is_new_enough(temporal_client: Client) -> None:
    assert (await check_temporal_version(temporal_client)).startswith("1.")


@pytest.mark.parametrize("version", ["1.25.0", "1.32.0-150.3", "2.0.0", "", "of Cloud"])
async def test_a_newer_server_and_that_of_cloud_are_accepted(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    _answers(monkeypatch, version)
    assert await check_temporal_version(temporal_client) == version


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("1.24.2", VersionError),
        ("0.99.0", VersionError),
        (RPCStatusCode.UNIMPLEMENTED, TemporalRefusedError),  # of a server before 1.15
        (RPCStatusCode.UNAVAILABLE, UnreachableError),
    ],
)
async def test_a_server_that_is_too_old_is_refused_with_a_sentence(
    temporal_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | RPCStatusCode,
    error: type[ExportError],
) -> None:
    _answers(monkeypatch, answer)
    with pytest.raises(error) as refused:
        await check_temporal_version(temporal_client)
    if isinstance(answer, str):
        assert answer[:4] in refused.value.msg
        assert "1.25 or newer" in refused.value.msg
