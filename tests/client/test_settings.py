"""Settings come from the environment; a message about a wrong one shows its name, not its value."""

import logging
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from exports.errors import SettingsError
from exports.settings import Settings

NEEDED = {"EXPORTS_MONGO_URI": "mongodb://db", "EXPORTS_S3_BUCKET": "bucket"}
SECRETS = {
    "EXPORTS_SMTP_USER": "exports",  # not one, but needed for the password
    "EXPORTS_MONGO_URI": "mongodb://us3r:s3cr3t-1@db",
    "EXPORTS_SOURCE_URI": "mongodb://us3r:s3cr3t-2@source",
    "EXPORTS_S3_ACCESS_KEY_ID": "s3cr3t-3",
    "EXPORTS_S3_SECRET_ACCESS_KEY": "s3cr3t-4",
    "EXPORTS_SMTP_PASSWORD": "s3cr3t-5",
    "EXPORTS_WECHAT_SECRET": "s3cr3t-6",
    "EXPORTS_ENCRYPTION_KEY": "a:s3cr3t00s3cr3t00s3cr3t00s3cr3t00s3cr3t00s3c=",
}
# Every setting: the text of the variable, and the value that it becomes.
GIVEN: dict[str, tuple[str, Any]] = {
    "mongo_uri": ("mongodb://db", SecretStr("mongodb://db")),
    "mongo_database": ("tasks", "tasks"),
    "source_uri": ("mongodb://source", SecretStr("mongodb://source")),
    "source_database": ("shop", "shop"),
    "query_timeout": ("PT1M", timedelta(minutes=1)),
    "s3_endpoint_url": ("https://cos.ap-shanghai.myqcloud.com", ...),
    "s3_public_endpoint_url": ("http://localhost:9000/s3", ...),
    "s3_public_endpoint_is_bucket": ("on", True),
    "s3_bucket": ("team-1250000000", ...),
    "s3_prefix": ("team-a/", ...),
    "s3_region": ("ap-shanghai", ...),
    "s3_access_key_id": ("key", SecretStr("key")),
    "s3_secret_access_key": ("secret", SecretStr("secret")),
    "s3_addressing_style": ("virtual", ...),
    "s3_checksums": ("when_supported", ...),
    "s3_ca_bundle": ("/etc/ca.pem", Path("/etc/ca.pem")),
    "encryption_key": ("a:" + "A" * 43 + "=", SecretStr("a:" + "A" * 43 + "=")),
    "webhook_encryption_key": ("b:" + "B" * 43 + "=", SecretStr("b:" + "B" * 43 + "=")),
    "webhook_loopback": ("on", True),
    "reports_file": ("/etc/exports.toml", Path("/etc/exports.toml")),
    "task_queue": ("heavy", ...),
    "url_ttl": ("60", timedelta(minutes=1)),
    "short_url_ttl": ("PT2M", timedelta(minutes=2)),
    "join_within": ("0", timedelta(0)),
    "orphans_every": ("PT30M", timedelta(minutes=30)),
    "quota_open": ("0", 0),
    "quota_per_day": ("7", 7),
    "retention": ("P2D", timedelta(days=2)),
    "max_concurrent_activities": ("3", 3),
    "max_concurrent_bulk_activities": ("2", 2),
    "units_side_by_side": ("7", 7),
    "worker_takes": ("bulk", ...),
    "max_concurrent_deliveries": ("5", 5),
    "public_url": ("https://exports.example.com", ...),
    "message_language": ("zh", ...),
    "smtp_host": ("mail.example.com", ...),
    "smtp_port": ("2525", 2525),
    "smtp_tls": ("tls", ...),
    "smtp_user": ("exports", ...),
    "smtp_password": ("secret", SecretStr("secret")),
    "smtp_ca_bundle": ("/etc/mail.pem", Path("/etc/mail.pem")),
    "mail_from": ("Exports <exports@example.com>", ...),
    "wechat_appid": ("wx1", ...),
    "wechat_secret": ("secret", SecretStr("secret")),
    "wechat_base_url": ("https://wechat.example.com/", "https://wechat.example.com"),
    "wechat_templates": ("{}", ...),
    "wechat_version": ("trial", ...),
    "directory_collection": ("people", ...),
    "directory_uid_field": ("uid", ...),
    "directory_email_field": ("contact.mail", ...),
    "directory_language_field": ("lang", ...),
    "directory_openid_field": ("wx", ...),
    "watch": ("off", False),
    "quota_recurring": ("7", 7),
    "tasks_kept": ("P30D", timedelta(days=30)),
    "shutdown_grace": ("2.5", timedelta(seconds=2.5)),
    "outage_patience": ("PT5M", timedelta(minutes=5)),
    "heartbeat": ("10", timedelta(seconds=10)),
    "log_format": ("json", ...),
    "metrics_listen": ("127.0.0.1:9464", ...),
    "deployment_name": ("exports", ...),
    "build_id": ("1.4.0+3f2a", ...),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def _refused() -> str:
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert refused.value.exit_code == 2
    assert "\n" not in refused.value.msg
    return refused.value.msg


def test_every_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(GIVEN) == set(Settings.model_fields)
    for name, (text, _) in GIVEN.items():
        monkeypatch.setenv(f"EXPORTS_{name.upper()}", text)
    settings = Settings.load()
    assert settings.model_dump() == {
        name: text if value is ... else value for name, (text, value) in GIVEN.items()
    }


def test_only_two_settings_are_needed() -> None:
    settings = Settings.load()
    assert (settings.url_ttl, settings.retention) == (timedelta(minutes=30), timedelta(hours=24))
    assert settings.source == (SecretStr("mongodb://db"), "exports")
    assert settings.s3_endpoint_url is None, "AWS's own"


def test_reports_may_read_another_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_SOURCE_DATABASE", "shop")
    assert Settings.load().source == (SecretStr("mongodb://db"), "shop")
    monkeypatch.setenv("EXPORTS_SOURCE_URI", "mongodb://replica")
    assert Settings.load().source == (SecretStr("mongodb://replica"), "shop")


def test_all_missing_settings_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name)
    assert _refused() == (
        "These settings are needed and not set: EXPORTS_MONGO_URI, EXPORTS_S3_BUCKET."
    )


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GIVEN:
        monkeypatch.setenv(f"EXPORTS_{name.upper()}", "")
    assert "EXPORTS_MONGO_URI, EXPORTS_S3_BUCKET." in _refused()
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert (settings.s3_endpoint_url, settings.task_queue) == (None, "exports")


@pytest.mark.parametrize(
    ("name", "text", "seconds"),
    [
        ("URL_TTL", "1", 1),
        ("URL_TTL", "90", 90),
        ("URL_TTL", "PT1H30M", 5400),
        ("RETENTION", "P7D", 7 * 86400),
        ("RETENTION", "86400.5", 86400.5),
        ("RETENTION", "1 day, 00:00:01", 86401),
        ("QUERY_TIMEOUT", "0.25", 0.25),
    ],
)
def test_a_duration_is_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, seconds: float
) -> None:
    monkeypatch.setenv(f"EXPORTS_{name}", text)
    assert getattr(Settings.load(), name.lower()) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL_TTL", "soon-s3cr3t"),
        ("URL_TTL", "0"),
        ("URL_TTL", "0.5"),
        ("URL_TTL", "-60"),
        ("URL_TTL", "P7DT1S"),
        ("URL_TTL", "nan"),
        ("URL_TTL", "inf"),
        ("URL_TTL", "1e999"),
        ("RETENTION", "PT0S"),
        ("RETENTION", "P3651D"),
        ("TASKS_KEPT", "PT23H"),
        ("TASKS_KEPT", "-1"),
        ("RETENTION", "P99999999999D"),
        ("QUERY_TIMEOUT", "0"),
        ("QUERY_TIMEOUT", "P25D"),
        ("SHUTDOWN_GRACE", "later-s3cr3t"),
        ("MAX_CONCURRENT_ACTIVITIES", "0"),
        ("MAX_CONCURRENT_ACTIVITIES", "many-s3cr3t"),
        ("S3_ADDRESSING_STYLE", "s3cr3t"),
        ("S3_ENDPOINT_URL", "localhost:9000"),
        ("S3_ENDPOINT_URL", "ftp://s3cr3t"),
        ("S3_ENDPOINT_URL", "https://us3r:s3cr3t@store"),
        ("S3_ENDPOINT_URL", "https://store?key=s3cr3t"),
        ("S3_PUBLIC_ENDPOINT_URL", "http:///s3cr3t"),
        ("S3_BUCKET", "s3cr3t bucket"),
        ("S3_BUCKET", "bucket/s3cr3t"),
        ("MONGO_DATABASE", "s3cr3t.x"),
        ("MONGO_DATABASE", "a/s3cr3t"),
        ("MONGO_DATABASE", "s" * 64),
        ("SOURCE_DATABASE", "s3cr3t$"),
    ],
)
def test_a_message_about_a_wrong_value_has_the_name_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"EXPORTS_{name}", value)
    message = _refused()
    assert message.startswith(f"Settings are wrong: EXPORTS_{name}: ")
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"S3_ACCESS_KEY_ID": "s3cr3t"},
            "EXPORTS_S3_ACCESS_KEY_ID and EXPORTS_S3_SECRET_ACCESS_KEY must be set together",
        ),
        (
            {"S3_SECRET_ACCESS_KEY": "s3cr3t"},
            "EXPORTS_S3_ACCESS_KEY_ID and EXPORTS_S3_SECRET_ACCESS_KEY must be set together",
        ),
        ({"S3_PREFIX": "team-a"}, "EXPORTS_S3_PREFIX must end with a slash"),
        (
            {"S3_PUBLIC_ENDPOINT_IS_BUCKET": "on"},
            "EXPORTS_S3_PUBLIC_ENDPOINT_IS_BUCKET needs EXPORTS_S3_PUBLIC_ENDPOINT_URL",
        ),
        (
            {"URL_TTL": "PT2H", "RETENTION": "PT1H"},
            "EXPORTS_RETENTION must not be shorter than EXPORTS_URL_TTL",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"EXPORTS_{name}", value)
    assert _refused() == f"Settings are wrong: {said}."


def test_a_link_may_be_valid_for_as_long_as_its_file_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXPORTS_URL_TTL", "P7D")
    monkeypatch.setenv("EXPORTS_RETENTION", "P7D")
    assert Settings.load().url_ttl == Settings.load().retention


def test_several_mistakes_are_listed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTS_URL_TTL", "soon")
    monkeypatch.setenv("EXPORTS_S3_ADDRESSING_STYLE", "any")
    message = _refused()
    assert "EXPORTS_URL_TTL: " in message
    assert "EXPORTS_S3_ADDRESSING_STYLE: must be 'auto', 'path' or 'virtual'" in message


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("URL_TTL", "P8D", "must be at most 7 days"),
        ("URL_TTL", "0.5", "must be at least 1 second"),
        ("RETENTION", "0", "must be more than 0 seconds"),
        (
            "RETENTION",
            "soon",
            "must be a duration in seconds or in ISO 8601, such as 1800 or PT30M",
        ),
        ("UNITS_SIDE_BY_SIDE", "1.5", "must be a whole number"),
        ("WATCH", "never", "must be on or off"),
        ("S3_BUCKET", "a bucket", "is not a valid bucket name"),
        ("MONGO_DATABASE", "a.b", "is not a valid database name"),
        ("S3_ENDPOINT_URL", "s3", "must be http://host:port or https://host:port, without a user"),
    ],
)
def test_a_message_says_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"EXPORTS_{name}", value)
    assert _refused().startswith(f"Settings are wrong: EXPORTS_{name}: {problem}")


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.mongo_uri.get_secret_value() == SECRETS["EXPORTS_MONGO_URI"]
    record = logging.makeLogRecord({"msg": "%s %r", "args": (settings, settings.source)})
    for shown in (
        *(repr(settings), str(settings), f"{settings}", settings.model_dump_json()),
        *(str(settings.model_dump()), repr(settings.source), record.getMessage()),
    ):
        assert "s3cr3t" not in shown


def test_a_traceback_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXPORTS_S3_PREFIX", "no-slash")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    with pytest.raises(ValidationError) as raw:
        Settings()
    for error in (refused.value, raw.value):
        assert "s3cr3t" not in "".join(traceback.format_exception(error))
