"""Credentials that end are read again before, and at their end the error says so."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exports.errors import ExportError, SettingsError, StoreAccessError
from exports.settings import Settings
from exports.storage import tencent_role
from exports.storage.bucket import ObjectStore
from tests.support import sdk_credentials
from tests.support.tencent_roles import ROLE, tencent_roles

NO_KEYS: dict[str, Any] = {"s3_access_key_id": None, "s3_secret_access_key": None}
SOON, LATER = 5 * 60.0, 2 * 3600.0  # botocore reads again what ends within 10 minutes


def _store(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.model_copy(update=NO_KEYS))


def _signed_by(store: ObjectStore) -> tuple[str, str]:
    """The id of the key and the session token that a link is signed with."""
    link = store.link("files/a", file_name="a.csv", ttl=timedelta(minutes=5))
    query = parse_qs(urlsplit(link.url).query)
    [credential], [token] = query["X-Amz-Credential"], query["X-Amz-Security-Token"]
    return credential.partition("/")[0], token


def _environment(number: int, seconds: float) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": f"id-{number}",
        "AWS_SECRET_ACCESS_KEY": f"key-{number}",
        "AWS_SESSION_TOKEN": f"token-{number}",
        "AWS_CREDENTIAL_EXPIRATION": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
    }


def _upload(store: ObjectStore) -> object:
    return store.upload("k", iter([b"x"]), media_type="text/csv", file_name="k", stop=Event())


OPERATIONS: dict[str, Callable[[ObjectStore], object]] = {
    "check": lambda store: store.check(),
    "put": lambda store: store.put("k", b"x"),
    "upload": _upload,
    "list": lambda store: list(store.objects("")),
    "link": _signed_by,
}


def test_the_environment_is_read_again_before_its_credentials_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk_credentials.found_in(monkeypatch, **_environment(1, SOON))
    store = _store(settings)
    assert _signed_by(store) == ("id-1", "token-1")
    for name, value in _environment(2, LATER).items():
        monkeypatch.setenv(name, value)
    assert _signed_by(store) == ("id-2", "token-2")
    store.close()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_at_the_end_of_the_credentials_the_error_says_so(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    operation: Callable[[ObjectStore], object],
) -> None:
    sdk_credentials.found_in(monkeypatch, **_environment(1, -1))
    store = _store(settings)
    with pytest.raises(StoreAccessError) as ended:
        operation(store)
    store.close()
    assert ended.value.msg == (
        "The credentials of the object store have ended, and there are no new ones."
    )


def test_the_credentials_of_a_virtual_machine_of_tencent_are_read_again_until_there_are_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tencent_roles(SOON, LATER) as roles:
        sdk_credentials.printed_by(
            monkeypatch,
            tmp_path,
            f"from exports.storage import tencent_role\ntencent_role.main(metadata='{roles.url}')",
        )
        store = _store(settings)
        assert roles.given == 1
        assert _signed_by(store) == _signed_by(store) == ("id-2", "token-2")
        store.close()

        roles.lives.append(SOON)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        store = _store(settings)
        with pytest.raises(StoreAccessError, match="CredentialRetrievalError") as refused:
            store.check()
        store.close()
    _shows_none_of_them(refused.value)


def test_a_pod_of_tencent_gets_credentials_for_its_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-the-cluster")
    for name, value in {
        "TKE_REGION": "ap-shanghai",
        "TKE_PROVIDER_ID": "cls-1",
        "TKE_ROLE_ARN": f"qcs::cam::uin/1250000000:roleName/{ROLE}",
        "TKE_WEB_IDENTITY_TOKEN_FILE": str(token),
    }.items():
        monkeypatch.setenv(name, value)
    with tencent_roles(LATER) as sts:
        tencent_role.main(sts=sts.url)
        printed = json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit, match="no credentials"):
            tencent_role.main(sts=sts.url)
    assert {**printed, "Expiration": ...} == {
        "Version": 1,
        "AccessKeyId": "id-1",
        "SecretAccessKey": "key-1",
        "SessionToken": "token-1",
        "Expiration": ...,
    }
    left = datetime.fromisoformat(printed["Expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < left <= timedelta(minutes=120)
    headers, body = sts.asked[0]
    assert headers["X-Tc-Action"] == "AssumeRoleWithWebIdentity"
    assert headers["Authorization"] == "SKIP"
    assert body["WebIdentityToken"] == "a-token-of-the-cluster"
    assert body["RoleArn"].endswith(ROLE)


@pytest.mark.parametrize(
    "code",
    ["print('no json: s3cr3t')", "import sys; sys.exit('s3cr3t')"],
    ids=["other text", "an error"],
)
def test_a_program_that_prints_no_credentials_is_a_mistake_in_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    sdk_credentials.printed_by(monkeypatch, tmp_path, code)
    with pytest.raises(SettingsError, match=r"JSONDecodeError|CredentialRetrievalError") as refused:
        _store(settings)
    assert "s3cr3t" not in refused.value.msg


def test_a_program_that_is_gone_is_an_error_of_access_and_at_start_one_of_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = sdk_credentials.printed_by(monkeypatch, tmp_path, _printing(SOON))
    store = _store(settings)
    program.unlink()
    with pytest.raises(StoreAccessError, match="FileNotFoundError"):
        store.check()
    store.close()
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        _store(settings)


def _printing(seconds: float) -> str:
    printed = {
        "Version": 1,
        "AccessKeyId": "id",
        "SecretAccessKey": "key",
        "SessionToken": "token",
        "Expiration": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
    }
    return f"print('{json.dumps(printed)}')"


def _shows_none_of_them(error: ExportError) -> None:
    shown = f"{error!r} {error.__cause__!r}"
    assert not [name for name in ("id-", "key-", "token-") if name in shown]
