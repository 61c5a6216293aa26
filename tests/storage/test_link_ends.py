"""`expiresAt` is never later than the end of the signature, the credentials or the file."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.credentials import RefreshableCredentials

from exports.clock import epoch_ms
from exports.errors import SettingsError, StoreUnavailableError
from exports.settings import Settings
from exports.storage.bucket import Link, ObjectStore
from exports.storage.links import end_of_link, lifetime
from tests.support import sdk_credentials
from tests.support.protections import protected_by
from tests.support.service import USER, Service, insert_orders, open_service, working

KEY = "files/t/r/a/export.csv"
HALF_AN_HOUR = timedelta(minutes=30)
NO_KEYS: dict[str, Any] = {"s3_access_key_id": None, "s3_secret_access_key": None}


def _query(url: str) -> dict[str, str]:
    return {key: value for key, [value] in parse_qs(urlsplit(url).query).items()}


def _signature_ends(url: str) -> int:
    query = _query(url)
    began = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
    return int(began.timestamp() + int(query["X-Amz-Expires"])) * 1000


@pytest.fixture
def store_of_environment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ObjectStore]]:
    """Makes a store with credentials that the SDK finds in environment variables."""
    with ExitStack() as closing:

        def made(**environment: str) -> ObjectStore:
            sdk_credentials.found_in(monkeypatch, **environment)
            store = ObjectStore(settings.model_copy(update=NO_KEYS))
            closing.callback(store.close)
            return store

        yield made


def _temporary(left: timedelta) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_SESSION_TOKEN": "a-token",
        "AWS_CREDENTIAL_EXPIRATION": (datetime.now(UTC) + left).isoformat(),
    }


def test_a_link_ends_with_its_signature(settings: Settings) -> None:
    store = ObjectStore(settings)
    try:
        time.sleep(1 - time.time() % 1 + 0.3)  # a signature counts from the start of its second
        link = store.link(KEY, file_name="a.csv", ttl=timedelta(minutes=5, milliseconds=900))
    finally:
        store.close()
    assert link.expires_at == _signature_ends(link.url)
    assert _query(link.url)["X-Amz-Expires"] == "300"
    assert link.url not in repr(link), "a link is a secret"


@pytest.mark.parametrize("left", [timedelta(minutes=16), timedelta(minutes=20, seconds=7)])
def test_a_link_ends_before_the_credentials_that_signed_it(
    store_of_environment: Callable[..., ObjectStore], left: timedelta
) -> None:
    credentials = _temporary(left)
    end = epoch_ms(datetime.fromisoformat(credentials["AWS_CREDENTIAL_EXPIRATION"]))
    link = store_of_environment(**credentials).link(KEY, file_name="a.csv", ttl=HALF_AN_HOUR)
    assert _query(link.url)["X-Amz-Security-Token"] == "a-token"
    assert _signature_ends(link.url) <= end
    assert link.expires_at <= end
    assert link.expires_at > end - 60_000, "a link is valid for nearly all of that time"


def test_a_link_has_its_full_ttl_if_the_credentials_end_later(
    store_of_environment: Callable[..., ObjectStore],
) -> None:
    store = store_of_environment(**_temporary(timedelta(hours=2)))
    link = store.link(KEY, file_name="a.csv", ttl=HALF_AN_HOUR)
    assert _query(link.url)["X-Amz-Expires"] == "1800"


def test_a_key_without_a_token_does_not_end(
    store_of_environment: Callable[..., ObjectStore],
) -> None:
    store = store_of_environment(AWS_ACCESS_KEY_ID="a-key", AWS_SECRET_ACCESS_KEY="a-secret")
    link = store.link(KEY, file_name="a.csv", ttl=timedelta(days=7))
    assert _query(link.url)["X-Amz-Expires"] == str(7 * 24 * 3600)


def test_temporary_credentials_without_a_known_end_are_refused(
    store_of_environment: Callable[..., ObjectStore],
) -> None:
    given = _temporary(HALF_AN_HOUR)
    del given["AWS_CREDENTIAL_EXPIRATION"]
    with pytest.raises(SettingsError, match="AWS_CREDENTIAL_EXPIRATION") as refused:
        store_of_environment(**given)
    assert "a-token" not in refused.value.msg
    assert "a-secret" not in refused.value.msg


def _refreshed(ends: list[datetime]) -> RefreshableCredentials:
    """Credentials that end as the list says: first, after one refresh, and so on."""
    rest = iter(ends)

    def fetch() -> dict[str, str]:
        return {
            "access_key": "a-key",
            "secret_key": "a-secret",
            "token": "a-token",
            "expiry_time": next(rest).isoformat(),
        }

    return RefreshableCredentials.create_from_metadata(
        metadata=fetch(), refresh_using=fetch, method="test"
    )


def test_credentials_that_end_soon_are_refreshed_first() -> None:
    now = datetime.now(UTC)
    credentials = _refreshed([now + timedelta(minutes=2), now + timedelta(hours=1)])
    assert lifetime(credentials, 1800) == 1800


def test_a_link_is_refused_if_the_credentials_end_now(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = _refreshed([datetime.now(UTC) + timedelta(seconds=1)])
    # Fault: there are no new credentials yet.
    monkeypatch.setattr(credentials, "get_frozen_credentials", lambda: None)
    with pytest.raises(StoreUnavailableError) as refused:
        lifetime(credentials, 1800)
    assert not refused.value.permanent


async def test_a_first_link_ends_no_later_than_its_file(
    settings: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = ObjectStore.link

    def slow(*given: Any, **named: Any) -> Link:
        time.sleep(1.2)  # as if credentials were refreshed first
        return sign(*given, **named)

    monkeypatch.setattr(ObjectStore, "link", slow)
    # Shorter than the settings allow, to show that the end of the file counts.
    short = settings.model_copy(update={"retention": timedelta(minutes=3)})
    async with open_service(short, temporal_address) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
    assert task.download_url is not None
    assert task.expires_at is not None
    assert task.purge_at is not None
    assert task.expires_at <= min(task.purge_at, _signature_ends(task.download_url))
    assert _query(task.download_url)["X-Amz-Expires"] == "180"
    assert end_of_link(task.download_url) - task.expires_at < 60_000


@protected_by(
    "exports/client/files.py", "ends = min(ends, task.purge_at)", instead="ends = max(ends, 0)"
)
async def test_a_renewed_link_ends_no_later_than_its_file(service: Service) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    purge_at = int(time.time() * 1000) + 90_500
    await service.database["ExportTasks"].update_one({}, {"$set": {"purgeAt": purge_at}})
    renewed = await service.client.renew(task.id, created_by=USER)
    assert renewed.download_url is not None
    assert renewed.expires_at is not None
    assert renewed.expires_at <= min(purge_at, _signature_ends(renewed.download_url))
    assert int(_query(renewed.download_url)["X-Amz-Expires"]) <= 90
