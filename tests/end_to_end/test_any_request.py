"""What the OpenAPI document allows, and what it does not, has the answer that it describes.

Schemathesis makes the requests from the document, with all of its checks: each call alone, and
calls one after the other, as the document links them. No worker runs: exports stay pending.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from exports.settings import Settings
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.service import Service
from tests.support.webhook_settings import with_webhooks

_SCHEMATHESIS: Final = Path(sys.executable).parent / "schemathesis"
_CONFIG: Final = """
seed = 20261127
color = false
continue-on-failure = true
generation.max-examples = {examples}
generation.database = "none"
warnings = false # that some calls need an export in a state that none reaches without a worker
# Each field beyond its bounds. How a request is read does not depend on who sends it.
phases.coverage.enabled = {coverage}
phases.coverage.generation.mode = "negative"
phases.coverage.unexpected-methods = ["PUT", "DELETE", "TRACE"]

# To the document, `params` is any object, and `columns` and `notify` are any texts. The report
# knows which, and the installation which channels it has.
[[operations]]
include-operation-id = ["createExport", "setNotify"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 404, 409, 422, 429]

# To the document, a period and a time are any texts, and so are the parameters.
[[operations]]
include-operation-id = ["createRecurring", "backfillRecurring"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 404, 409, 422, 429]

# `after` is the id of something that is there.
[[operations]]
include-operation-id = ["listExports", "listDeliveries", "listDeliveriesOfExport"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404]

# No template of WeChat is configured.
[[operations]]
include-operation-id = "grantWechat"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 422]

# These streams go on: one event is enough, or a few seconds without any.
[[operations]]
include-operation-id = ["followExport", "followExports"]
max-stream-events = 1
request-timeout = 5

# A name has to have a public address as well.
[[operations]]
include-operation-id = "addWebhook"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 422, 429]

# What `payload` holds depends on the action: the old function's requests are taken as they are.
[[operations]]
include-operation-id = "callFunction"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 422, 429]
"""
_AS: Final = """
[auth.wfc]
path = "people.json"
user = "{who}"
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_webhooks(settings)


@pytest.mark.parametrize("who", [OWNER, OPERATOR, None], ids=["user", "operator", "nobody"])
async def test_any_request_has_an_answer_that_the_document_describes(
    idle_service: Service, tmp_path: Path, who: str | None
) -> None:
    config = _CONFIG.format(coverage=str(who == OWNER).lower(), examples=2 if who == OWNER else 1)
    if who is not None:
        config += _AS.format(who=who)
    if who == OWNER:
        config += (
            f"peers = {json.dumps([OWNER, STRANGER])} # they must not see each other's exports\n"
        )
    (tmp_path / "schemathesis.toml").write_text(config, encoding="utf-8")
    for creator in (OWNER, STRANGER):
        await idle_service.create(created_by=creator)
    async with open_api(idle_service, api_rate=1_000_000) as api:
        (tmp_path / "people.json").write_text(json.dumps(_people(api)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(_SCHEMATHESIS, "run", f"{api.url}/openapi.json"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
    said = out.decode()
    print(said)  # noqa: T201 -- pytest shows it of a test that fails
    assert process.returncode == 0
    for phase in ("Examples", "Fuzzing", "Stateful", *(["Coverage"] if who == OWNER else [])):
        assert f"✅ {phase}" in said


def _people(api: Api) -> dict[str, Any]:
    return {
        "auth": [
            {
                "name": who,
                "fixedHeaders": [
                    {"name": name, "value": value} for name, value in api.bearer(who).items()
                ],
            }
            for who in (OWNER, STRANGER, OPERATOR)
        ]
    }
