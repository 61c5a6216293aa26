"""Objects have keys that cannot be guessed, in a bucket that is closed without credentials."""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports import names
from exports.names import file_key, staged_part_key
from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from tests.support.protections import protected_by
from tests.support.service import Service, insert_orders

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyMaker = Callable[[str, str, str], str]
KINDS: dict[str, KeyMaker] = {
    "staged part": lambda task, run, attempt: staged_part_key(
        task, run, unit="2026-10", attempt=attempt, index=3
    ),
    "file": lambda task, run, attempt: file_key(task, run, attempt=attempt, extension="csv.gz"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
task_ids = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())
random_bits = protected_by(
    "exports/names.py", "return secrets.token_hex(16)", instead="return secrets.token_hex(15)"
)


def _random(key: str) -> int:
    [token] = re.findall(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", key)
    return int(token, 16)


@random_bits
@every_kind
def test_a_key_holds_128_random_bits(kind: str) -> None:
    many = 4000
    found = [_random(KINDS[kind]("5f" * 12, "run-1", "11-1")) for _ in range(many)]
    assert len(set(found)) == many
    for bit in range(128):
        ones = sum(number >> bit & 1 for number in found)
        # Eight standard deviations: a random bit differs by more once in 10^15.
        assert abs(ones - many / 2) < 8 * (many / 4) ** 0.5, bit


@given(task_id=task_ids, kind=st.sampled_from(list(KINDS)))
def test_a_key_holds_only_ids_and_random_bits(task_id: str, kind: str) -> None:
    key = KINDS[kind](task_id, "0190-run", "11-2")
    root, task, run, *rest = key.split("/")
    assert f"{root}/" in (names.STAGING, names.FILES)
    assert (unquote(task), run) == (task_id, "0190-run")
    token = r"[0-9a-f]{32}"
    assert re.fullmatch(
        {
            "staged part": rf"2026-10/11-2/part-00003-{token}\.arrow",
            "file": rf"11-2-{token}/export\.csv\.gz",
        }[kind],
        "/".join(rest),
    )


async def test_a_key_does_not_tell_who_asked_or_for_what(service: Service) -> None:
    await insert_orders(service.database)
    seen: set[str] = set()
    plain = service.store.put

    def put(key: str, data: bytes) -> Any:
        seen.add(key)
        return plain(key, data)

    service.store.put = put  # type: ignore[method-assign]
    task = await service.exported(created_by="anna.schmidt@example.com")
    keys = {*seen, str((await service.document(task.id))["objectKey"])}
    assert {key.partition("/")[0] for key in keys} == {"staging", "files"}
    for key in keys:
        assert not re.search("anna|schmidt|example|stats|图", key, re.IGNORECASE)


def _status(url: str, method: str = "GET") -> int:
    request = urllib.request.Request(
        url, method=method, data=b"x" if method in ("PUT", "POST") else None
    )
    try:
        with urllib.request.urlopen(request, timeout=150) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.fixture
def store(settings: Settings) -> "Iterator[ObjectStore]":
    store = ObjectStore(settings)
    for key in ("files/a/one.csv", "files/a/two.csv", "staging/a/part.arrow"):
        store.put(key, b"rows")
    yield store
    store.close()


def _address(settings: Settings) -> str:
    return f"{settings.s3_endpoint_url}/{settings.s3_bucket}"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST ?uploads"])
def test_without_credentials_no_object_can_be_used(settings: Settings, method: str) -> None:
    method, _, query = method.partition(" ")
    for key in ("files/a/one.csv", "staging/a/part.arrow", "files/a/none"):
        assert _status(f"{_address(settings)}/{settings.s3_prefix}{key}{query}", method) == 403


@pytest.mark.parametrize(
    "query",
    ["", "?list-type=2", "?uploads", "?versions", "?policy", "?acl", "?location", "?lifecycle"],
)
def test_without_credentials_nothing_can_be_listed(settings: Settings, query: str) -> None:
    assert _status(f"{_address(settings)}{query}") == 403
    assert _status(f"{_address(settings)}/{query}") == 403


def test_a_link_allows_only_to_read_one_object(store: ObjectStore, settings: Settings) -> None:
    url = store.link("files/a/one.csv", file_name="a.csv", ttl=timedelta(minutes=5)).url
    assert _status(url) == 200
    for method in ("PUT", "DELETE"):
        assert _status(url, method) == 403, method
    assert _status(f"{url}&uploads", "POST") == 403
    signature = url.partition("?")[2]
    prefix = f"{_address(settings)}/{settings.s3_prefix}"
    for other in ("files/a/two.csv", "staging/a/part.arrow", "files/a/", ""):
        assert _status(f"{prefix}{other}?{signature}") == 403, other
    for changed in (
        url.replace("one.csv", quote("one.csv/../two.csv", safe="")),
        url.replace("X-Amz-Expires=300", "X-Amz-Expires=604800"),
        f"{url}&uploads",
        f"{url}&versionId=1",
        url.replace("a.csv%22", "evil.exe%22"),
        re.sub(r"X-Amz-Signature=[0-9a-f]+", "X-Amz-Signature=" + "0" * 64, url),
    ):
        assert changed != url
        assert _status(changed) in (400, 403), changed.partition("X-Amz-Credential")[0]
    assert _status(url) == 200
    assert store.get("files/a/one.csv") == b"rows"


async def test_a_link_is_refused_after_its_end(store: ObjectStore) -> None:
    link = store.link("files/a/one.csv", file_name="a.csv", ttl=timedelta(seconds=1))
    async with asyncio.timeout(150):
        while await asyncio.to_thread(_status, link.url) == 200:
            await asyncio.sleep(0.2)
    assert await asyncio.to_thread(_status, link.url) == 403
