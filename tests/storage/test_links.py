"""Presigned links, and the names of the files that they download."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exports.settings import Settings
from exports.storage.bucket import ObjectStore
from exports.storage.s3 import content_disposition

# The grammar of RFC 6266, section 4.1, and RFC 8187, section 3.2.1, as far as it is used here.
_ATTR_CHAR = r"[A-Za-z0-9!#$&+.^_`|~-]"
_HEADER = re.compile(
    r'attachment; filename="(?P<plain>[ !#-\[\]-~]*)"; '
    rf"filename\*=UTF-8''(?P<exact>(?:%[0-9A-F]{{2}}|{_ATTR_CHAR})*)"
)

AWS = {"s3_endpoint_url": None, "s3_addressing_style": "auto"}
COS = {
    "s3_endpoint_url": "https://cos.ap-shanghai.myqcloud.com",
    "s3_bucket": "team-1250000000",
    "s3_region": "ap-shanghai",
    "s3_addressing_style": "auto",
    "s3_prefix": "",
}

Link = Callable[..., str]


@pytest.fixture
def link(settings: Settings) -> Iterator[Link]:
    """Signs a link with some settings changed. This needs no server."""
    with ExitStack() as closing:

        def signed(
            *, ttl: timedelta = timedelta(minutes=30), name: str = "a.csv", **changes: Any
        ) -> str:
            store = ObjectStore(settings.model_copy(update=changes))
            closing.callback(store.close)
            return store.link("files/t/r/a/export.csv", file_name=name, ttl=ttl).url

        yield signed


def _query(url: str) -> dict[str, str]:
    return {key: value for key, [value] in parse_qs(urlsplit(url).query).items()}


@given(st.text())
@example('a"; filename=evil.exe; x="')
@example("a\r\nSet-Cookie: x=1")
@example("..\\..\\%2e%2e/étude 订单 🧾.csv")
@example("")
def test_every_name_can_be_read_back_and_cannot_change_the_header(name: str) -> None:
    found = _HEADER.fullmatch(content_disposition(name))
    assert found
    assert unquote(found["exact"], errors="strict") == name
    assert len(found["plain"]) == len(name)


@given(st.text(st.characters(categories=["Cs"]), min_size=1))
def test_a_name_with_half_a_character_makes_a_valid_header(name: str) -> None:
    assert _HEADER.fullmatch(content_disposition(name))


def test_an_ascii_name_is_the_same_in_both_forms() -> None:
    assert content_disposition("statsMonthly-2026-10.xlsx") == (
        'attachment; filename="statsMonthly-2026-10.xlsx"; '
        "filename*=UTF-8''statsMonthly-2026-10.xlsx"
    )


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (timedelta(minutes=30), "1800"),
        (timedelta(days=7), "604800"),
        (timedelta(seconds=1, milliseconds=900), "1"),
    ],
)
def test_a_link_is_signed_for_its_ttl_and_not_longer(
    link: Link, ttl: timedelta, seconds: str
) -> None:
    assert _query(link(ttl=ttl))["X-Amz-Expires"] == seconds


def test_a_link_downloads_the_file_under_its_name(link: Link) -> None:
    asked = _query(link(name="订单-2026.csv"))["response-content-disposition"]
    assert asked == content_disposition("订单-2026.csv")


def test_a_link_leads_to_the_public_endpoint(link: Link, settings: Settings) -> None:
    public = link(s3_public_endpoint_url="https://files.example.com")
    inside = link()
    path = f"/{settings.s3_bucket}/{settings.s3_prefix}files/t/r/a/export.csv"
    assert public.startswith(f"https://files.example.com{path}?")
    assert inside.startswith(f"{settings.s3_endpoint_url}{path}?")
    # The signature covers the host.
    assert _query(public)["X-Amz-SignedHeaders"] == "host"
    assert _query(public)["X-Amz-Signature"] != _query(inside)["X-Amz-Signature"]


@pytest.mark.parametrize(
    ("endpoint", "style", "address"),
    [
        ("https://cos.ap-x.myqcloud.com", "auto", "https://exports.cos.ap-x.myqcloud.com/"),
        ("https://cos.ap-x.tencentcos.cn", "auto", "https://exports.cos.ap-x.tencentcos.cn/"),
        ("https://cos.ap-x.myqcloud.com", "path", "https://cos.ap-x.myqcloud.com/exports/"),
        ("https://myqcloud.com.example.com", "auto", "https://myqcloud.com.example.com/exports/"),
        ("http://localhost:9000", "auto", "http://localhost:9000/exports/"),
        ("http://localhost:9000", "virtual", "http://exports.localhost:9000/"),
    ],
)
def test_the_bucket_is_where_the_store_wants_it_unless_the_operator_says_otherwise(
    link: Link, endpoint: str, style: str, address: str
) -> None:
    url = link(s3_endpoint_url=endpoint, s3_addressing_style=style, s3_prefix="")
    assert url.startswith(f"{address}files/t/r/a/export.csv?")


@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
@pytest.mark.parametrize(
    "own", ["https://files.example.com", "https://exports.example.com/exports/"]
)
def test_a_link_for_the_buckets_own_host_names_no_bucket(link: Link, own: str, style: str) -> None:
    url = link(
        s3_public_endpoint_url=own,
        s3_public_endpoint_is_bucket=True,
        s3_addressing_style=style,
        s3_prefix="team 1/",
    )
    assert url.startswith(f"{own.rstrip('/')}/team%201/files/t/r/a/export.csv?")
    assert _query(url)["response-content-disposition"] == content_disposition("a.csv")


@pytest.mark.parametrize("style", ["auto", "virtual"])
def test_the_store_accepts_a_link_for_the_buckets_own_host_and_only_as_it_was_signed(
    settings: Settings, style: str
) -> None:
    assert settings.s3_endpoint_url
    # The embedded store knows its buckets by the names below localhost.
    own = settings.s3_endpoint_url.replace("127.0.0.1", f"{settings.s3_bucket}.localhost")
    inside = ObjectStore(settings)
    store = ObjectStore(
        settings.model_copy(
            update={
                "s3_public_endpoint_url": own,
                "s3_public_endpoint_is_bucket": True,
                "s3_addressing_style": style,
            }
        )
    )
    key = "files/任务 1+2/a&b.csv"
    inside.put(key, b"rows")
    url = store.link(key, file_name="订单.csv", ttl=timedelta(minutes=1)).url
    inside.close()
    store.close()
    assert _fetched(url) == (200, b"rows", content_disposition("订单.csv"))
    for other in (
        url.replace("response-content-disposition=attachment", "response-content-disposition=x"),
        url.replace(f"{settings.s3_bucket}.localhost", "127.0.0.1").replace(
            settings.s3_prefix, f"{settings.s3_bucket}/{settings.s3_prefix}", 1
        ),
    ):
        assert other != url
        assert _fetched(other)[0] == 403


def _fetched(url: str) -> tuple[int, bytes, str]:
    """Status, content and disposition; names below localhost are this machine."""
    at = urlsplit(url)
    connection = HTTPConnection("127.0.0.1", at.port or 80)
    try:
        connection.request("GET", f"{at.path}?{at.query}", headers={"Host": at.netloc})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Content-Disposition", "")
    finally:
        connection.close()


def test_a_link_to_tencent_cos_has_the_bucket_in_its_host(link: Link) -> None:
    url = link(**COS)
    assert url.startswith(
        "https://team-1250000000.cos.ap-shanghai.myqcloud.com/files/t/r/a/export.csv?"
    )
    query = _query(url)
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert "/ap-shanghai/s3/aws4_request" in query["X-Amz-Credential"]
    assert set(query) == {
        *("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires"),
        *("X-Amz-SignedHeaders", "X-Amz-Signature", "response-content-disposition"),
    }


def test_without_an_endpoint_a_link_leads_to_aws(link: Link) -> None:
    host = urlsplit(link(**AWS, s3_region="eu-central-1")).hostname
    assert host == "exports.s3.eu-central-1.amazonaws.com"


def test_a_link_holds_no_secret_key(link: Link, settings: Settings) -> None:
    assert settings.s3_secret_access_key
    assert settings.s3_secret_access_key.get_secret_value() not in link()
