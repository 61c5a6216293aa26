"""Each setting that is wrong is named, and so is each name that no program reads."""

import re

import pytest

from exports.doctor.settings import PROGRAMS, check_settings
from tests.support.doctor import wrong_of
from tests.support.paths import REPOSITORY

NEEDED = {"EXPORTS_MONGO_URI": "mongodb://db", "EXPORTS_S3_BUCKET": "bucket"}
SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_good_settings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXPORTS_API_TOKEN_U2", "EXPORTS_API_URL", "EXPORTS_CODEC_TOKEN"):
        monkeypatch.setenv(name, "")  # not set
    settings, checks = check_settings()
    assert settings is not None
    assert [(check.name, check.outcome) for check in checks] == [("environment", "ok")]


KUBERNETES = {
    f"{service}_{name}": value
    for service in ("EXPORTS", "EXPORTS_API")
    for name, value in {
        "SERVICE_HOST": "10.0.0.11",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": "tcp://10.0.0.11:8000",
        "PORT_8000_TCP": "tcp://10.0.0.11:8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.0.0.11",
    }.items()
}


def test_what_kubernetes_sets_for_a_service_of_this_name_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXPORTS_SMPT_PORT", "25")
    _, checks = check_settings()
    assert wrong_of(checks) == {"EXPORTS_SMPT_PORT": "warning"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"EXPORTS_MONGO_URI": "", "EXPORTS_S3_BUCKET": ""}, list(NEEDED)),
        (
            {"EXPORTS_MONGO_URI": "", "EXPORTS_URL_TTL": SECRET},
            ["EXPORTS_URL_TTL", "EXPORTS_MONGO_URI"],
        ),
        ({"EXPORTS_RETENTION": "60"}, ["EXPORTS_RETENTION"]),
        ({"EXPORTS_S3_ACCESS_KEY_ID": SECRET}, ["EXPORTS_S3_ACCESS_KEY_ID"]),
        ({"EXPORTS_API_JWT_SECRET": SECRET}, ["EXPORTS_API_JWT_SECRET"]),
        (
            {"EXPORTS_CODEC_TOKEN": SECRET},
            ["EXPORTS_ENCRYPTION_KEY", "EXPORTS_CODEC_TOKEN"],
        ),
    ],
)
def test_each_broken_variable_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: list[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    _, checks = check_settings()
    assert wrong_of(checks) == dict.fromkeys(named, "failed")
    assert SECRET not in str(checks)


def test_a_misspelt_variable_is_a_warning_that_says_what_may_be_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPORTS_S3_BUKET", SECRET)
    settings, checks = check_settings()
    assert settings is not None
    assert wrong_of(checks) == {"EXPORTS_S3_BUKET": "warning"}
    assert "Is EXPORTS_S3_BUCKET meant?" in str(checks)
    assert SECRET not in str(checks)


def test_every_documented_variable_is_known() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(EXPORTS_\w+)`", page, re.MULTILINE))
    assert documented == {name for program in PROGRAMS for name in program.variables()}
