"""Each fault of the bucket is named by the check that is for it, and by no other."""

import json
import secrets
import shlex
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from exports.doctor.bucket import BucketDoctor, cors, lifecycle, missing_rules
from exports.doctor.check import Server, examine
from exports.settings import Settings
from tests.support.doctor import wrong
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef

ORIGIN = "https://shop.example.com"
COMPOSE: list[dict[str, Any]] = json.loads(
    (REPOSITORY / "compose" / "bucket-lifecycle.json").read_text(encoding="utf-8")
)["Rules"]


async def _wrong(settings: Settings, *, fix: bool = False) -> dict[str, str]:
    async with AsyncExitStack() as closing:
        return await wrong(BucketDoctor(settings, closing).server(), fix=fix)


@pytest.fixture
def own_bucket(s3_client: "S3Client") -> Iterator[str]:
    """A bucket of this test's own, because rules are for all who use one."""
    name = f"t-{secrets.token_hex(8)}"
    s3_client.create_bucket(Bucket=name)
    yield name
    s3_client.delete_bucket(Bucket=name)


async def test_rules_that_are_missing_are_named_and_made_and_those_of_others_stay(
    settings: Settings, own_bucket: str, s3_client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTS_API_CORS_ORIGINS", ORIGIN)
    settings = settings.model_copy(update={"s3_bucket": own_bucket})
    others: LifecycleRuleTypeDef = {
        "ID": "logs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 1},
    }
    s3_client.put_bucket_lifecycle_configuration(
        Bucket=own_bucket,
        LifecycleConfiguration={"Rules": [others]},
    )
    assert await _wrong(settings) == {"lifecycle": "warning", "cors": "warning"}
    for _ in range(2):
        assert await _wrong(settings, fix=True) == {"cors": "warning"}
        rules = s3_client.get_bucket_lifecycle_configuration(Bucket=own_bucket)["Rules"]
        assert [rule.get("ID", "")[:6] for rule in rules] == ["logs", "staged", "incomp"]
    s3_client.put_bucket_cors(
        Bucket=own_bucket,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": [ORIGIN]}]},
    )
    assert await _wrong(settings) == {}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"s3_endpoint_url": "http://127.0.0.1:9"}, "reachable"),
        ({"s3_bucket": "nobody-has-this-bucket"}, "list"),
        ({"s3_secret_access_key": SecretStr("wrong")}, "list"),
    ],
)
async def test_a_store_that_can_not_be_used_is_named_once(
    settings: Settings, change: dict[str, Any], named: str
) -> None:
    assert await _wrong(settings.model_copy(update=change)) == {named: "failed"}


def _settings(settings: Settings, prefix: str) -> Settings:
    return settings.model_copy(update={"s3_prefix": prefix, "retention": timedelta(days=7)})


Rules = list[dict[str, Any]]
ALL: dict[str, Any] = {}  # a filter
READ: list[tuple[str, Rules, str]] = [
    ("", COMPOSE, "ok"),
    ("team-a/", COMPOSE, "warning"),  # there, staged parts are under another prefix
    ("", COMPOSE[:1], "warning"),
    ("", [{**rule, "Status": "Disabled"} for rule in COMPOSE], "warning"),
    ("", [*COMPOSE, {**COMPOSE[0], "Filter": {"Prefix": "files/"}}], "failed"),
    ("", [*COMPOSE, {**COMPOSE[0], "Filter": ALL}], "failed"),
    ("", [*COMPOSE, {**COMPOSE[0], "Filter": {"Tag": {"Key": "a", "Value": "b"}}}], "ok"),
    ("", [*COMPOSE, {**COMPOSE[0], "Filter": ALL, "Expiration": {"Days": 7}}], "ok"),
    ("", [{"Status": "Enabled", "Prefix": "", **COMPOSE[1]}, COMPOSE[0]], "ok"),
]


@pytest.mark.parametrize(("prefix", "rules", "outcome"), READ)
def test_rules_are_read_as_the_store_reads_them(
    settings: Settings, prefix: str, rules: list[dict[str, Any]], outcome: str
) -> None:
    assert lifecycle(rules, _settings(settings, prefix)).outcome == outcome


def test_the_rules_that_are_made_are_those_of_compose(settings: Settings) -> None:
    assert missing_rules([], _settings(settings, "")) == COMPOSE
    made = missing_rules([], _settings(settings, "team-a/"))
    assert [rule["Filter"]["Prefix"] for rule in made] == ["team-a/staging/", "team-a/"]
    assert not missing_rules(made, _settings(settings, "team-a/"))


@pytest.mark.parametrize(
    ("allowed", "methods", "outcome"),
    [
        (["*"], ["GET", "HEAD"], "ok"),
        (["https://*.example.com"], ["GET"], "ok"),
        ([ORIGIN], ["PUT"], "warning"),
        (["https://other.example.com"], ["GET"], "warning"),
    ],
)
def test_a_page_may_download_if_a_rule_of_the_bucket_allows_it(
    settings: Settings, allowed: list[str], methods: list[str], outcome: str
) -> None:
    rules = [{"AllowedOrigins": allowed, "AllowedMethods": methods}]
    assert cors(rules, [ORIGIN], settings).outcome == outcome


def test_a_printed_command_keeps_the_rules_of_others_and_names_the_store(
    settings: Settings,
) -> None:
    others = {"AllowedOrigins": ["https://o'hare.example.com"], "AllowedMethods": ["GET"]}
    mend = cors([others], [ORIGIN], settings).mend
    assert mend is not None
    words = shlex.split(mend)
    assert words[-3:-1] == ["$EXPORTS_S3_ENDPOINT_URL", "--cors-configuration"]
    assert json.loads(words[-1])["CORSRules"][0] == others
    mend = lifecycle([], settings).mend
    assert mend is not None
    assert mend.startswith("exports doctor --fix"), "which keeps them too"


async def test_a_rule_that_a_person_switched_off_stays_off_and_what_aws_keeps_beside_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = {**missing_rules([], settings)[0], "Status": "Disabled"}
    there: dict[str, Any] = {
        "Rules": [off],
        "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
    }
    sent: list[dict[str, Any]] = []

    class Store:
        """A store that has what the embedded one does not: a setting beside the rules."""

        def get_bucket_lifecycle_configuration(self, **_: str) -> dict[str, Any]:
            return there

        def put_bucket_lifecycle_configuration(self, **request: Any) -> None:
            sent.append(request)
            there["Rules"] = request["LifecycleConfiguration"]["Rules"]

    async with AsyncExitStack() as closing:
        doctor = BucketDoctor(settings, closing)
        monkeypatch.setattr(doctor, "_connected", Store())
        [question] = [item for item in doctor.server().questions() if item.name == "lifecycle"]
        for _ in range(2):
            [found] = await examine(Server("bucket", question, list), fix=True)
            assert found.outcome == "warning"
            assert found.mend == f"Somebody switched off or changed {off['ID']}: undo it by hand."
    [request] = sent
    assert request["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    assert there["Rules"] == [off, missing_rules([], settings)[1]]
