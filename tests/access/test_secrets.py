"""Every secret is a SecretStr, and no program of this service shows one."""

import asyncio
import importlib
import logging
import pkgutil
import re
import traceback
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

import exports
from exports.codec_server.settings import CodecSettings
from exports.errors import SettingsError
from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of
from tests.support.leaks import CANARY
from tests.support.protections import protected_by

_SECRET_LIKE = re.compile(
    r"secret|password|passphrase|token|credential|private|(?:^|_)(?:key|uri|dsn|auth|pin)(?:_|$)"
)
_KEY = f"{CANARY}:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
_SHOWN_OF_KEYS = ("QUJDREVGR0hJ", "ABCDEFGHIJKL")
_NEEDED = {
    "mongo_uri": "mongodb://db",
    "s3_bucket": "bucket",
    "encryption_key": _KEY,
    "smtp_user": "exports",  # it is needed for the password
}


def _classes() -> Iterator[type[BaseSettings]]:
    """Yield every class of settings in exports/, so that a new one is tested too."""
    for module in pkgutil.walk_packages(exports.__path__, "exports."):
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and issubclass(found, BaseSettings):
                yield found


def _holds(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_holds(part, kind) for part in get_args(annotation))


def _secret_fields(settings: type[BaseSettings]) -> set[str]:
    return {
        name for name, field in settings.model_fields.items() if _holds(field.annotation, SecretStr)
    }


def _plain_text_secrets(settings: type[BaseSettings]) -> set[str]:
    """Return the fields that are named like a secret and are not of type SecretStr."""
    named = {name for name in settings.model_fields if _SECRET_LIKE.search(name)}
    return named - _secret_fields(settings)


def _values(settings: type[BaseSettings]) -> dict[str, str]:
    """Return a value for each secret, with a text in it that tests search for."""
    values = {
        name: f"mongodb://user:{CANARY}-{name}@db" if name.endswith("_uri") else f"{CANARY}-{name}"
        for name in _secret_fields(settings)
    }
    keys = {name: _KEY for name in values if name.endswith("encryption_key")}
    return {name: text.ljust(30, "x") for name, text in values.items()} | keys


def _assert_no_secret_in(shown: str) -> None:
    hidden = shown.replace(f"{CANARY}:", "")  # the id of a key is not secret
    assert CANARY not in hidden
    for part in _SHOWN_OF_KEYS:
        assert part not in shown


def test_all_settings_are_checked() -> None:
    assert {Settings, CodecSettings} <= set(_classes())
    assert _secret_fields(Settings) == {
        *("mongo_uri", "source_uri", "s3_access_key_id", "s3_secret_access_key"),
        *("encryption_key", "webhook_encryption_key", "smtp_password", "wechat_secret"),
    }
    assert _secret_fields(CodecSettings) == {"encryption_key", "codec_token"}


@pytest.mark.parametrize("settings", sorted(set(_classes()), key=repr))
def test_every_setting_that_is_named_like_a_secret_is_one(settings: type[BaseSettings]) -> None:
    assert _plain_text_secrets(settings) == set()


class _WithPlainSecrets(BaseSettings):
    smtp_password: str = ""
    webhook_token: str | None = None
    signing_key: SecretStr = SecretStr("")
    monkey: str = ""


def test_a_new_secret_of_the_wrong_type_is_found() -> None:
    assert _plain_text_secrets(_WithPlainSecrets) == {"smtp_password", "webhook_token"}


@protected_by(
    "exports/encryption/keys.py", "secret: bytes = field(repr=False)", instead="secret: bytes"
)
@pytest.mark.parametrize("kind", [Settings, CodecSettings])
def test_no_representation_of_settings_shows_a_secret(
    kind: type[Settings | CodecSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (_NEEDED | _values(kind)).items():
        monkeypatch.setenv(f"EXPORTS_{name.upper()}", value)
    settings = kind.load()
    record = logging.makeLogRecord({"msg": "%s %r", "args": (settings, settings)})
    everything: dict[str, Any] = vars(settings)
    for shown in (
        *(repr(settings), str(settings), f"{settings}", record.getMessage()),
        *(settings.model_dump_json(), str(settings.model_dump()), str(list(settings))),
        *(str(settings.model_dump(mode="json")), repr(everything), str(settings.model_copy())),
    ):
        _assert_no_secret_in(shown)
    keys = settings.encryption_keys if isinstance(settings, Settings) else settings.keys
    _assert_no_secret_in(repr(keys).replace(f"'{CANARY}'", ""))


@protected_by("exports/environment.py", "        hide_input_in_errors=True,\n")
@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Settings, "s3_prefix"),
        (Settings, "encryption_key"),
        (CodecSettings, "codec_listen"),
        (CodecSettings, "encryption_key"),
    ],
)
def test_no_error_about_settings_shows_a_secret(
    kind: type[Settings | CodecSettings], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (_NEEDED | _values(kind) | {wrong: f"{CANARY} is wrong"}).items():
        monkeypatch.setenv(f"EXPORTS_{name.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        kind.load()
    with pytest.raises(ValidationError) as raw:
        kind()
    for error in (refused.value, raw.value):
        _assert_no_secret_in("".join(traceback.format_exception(error)) + repr(error))


async def test_no_command_shows_a_secret_whatever_goes_wrong(
    settings: Settings, temporal_address: str
) -> None:
    there = environment_of(settings, temporal_address)
    secret = {f"EXPORTS_{name.upper()}": value for name, value in _values(Settings).items()}
    address = there["EXPORTS_MONGO_URI"].removeprefix("mongodb://")
    for name in ("EXPORTS_MONGO_URI", "EXPORTS_SOURCE_URI"):
        secret[name] = f"mongodb://user:{CANARY}@{address}"
    # An object store logs an access key id that it does not know. Only the secret key is secret.
    secret["EXPORTS_S3_ACCESS_KEY_ID"] = "nobody"
    secret["EXPORTS_CODEC_TOKEN"] = f"{CANARY}-token-that-is-long-enough"
    refused = CommandLine(there | secret)
    unreachable = CommandLine(there | secret | {"TEMPORAL_ADDRESS": "127.0.0.1:9"})
    misread = CommandLine(there | secret | {"EXPORTS_URL_TTL": "soon"})
    bad_listen = CommandLine(there | secret | {"EXPORTS_CODEC_LISTEN": "192.0.2.1:1"})
    ended = await asyncio.gather(
        refused.run("--help"),
        refused.run("worker", "--json"),
        refused.run("list"),
        unreachable.run("schedule", "show"),
        misread.run("sweep", "--json"),
        bad_listen.run("codec-server"),
    )
    assert ended[0].code == 0
    for run in ended:
        _assert_no_secret_in(run.out + run.err)
    assert all("E_" in run.out + run.err for run in ended[1:])
