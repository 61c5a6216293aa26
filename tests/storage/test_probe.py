"""What is said of a bucket before anybody relies on it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from exports.settings import Settings
from exports.storage import probe_links, probe_steps, upload
from exports.storage.probe import ProbeResult, probe_store
from exports.storage.probe_steps import ProbeSteps
from tests.support.chaos.certificates import Certificates
from tests.support.cos_bucket import BUCKET, HOST, OWN_HOST, SECRET, Cos
from tests.support.cos_stand_in import cos_stand_in, resolve_localhost

FEW: Final = 20
QUICK: Final = [
    "list",
    "put",
    "get",
    "delete",
    "range",
    "head",
    "abort",
    "upload",
    "link",
    "link: range",
    "link: no signature",
    "clean-up",
]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page hold 20 objects, and a part 64 KiB: the stand-in does it, to save time."""
    monkeypatch.setattr(probe_steps, "_PAGE", FEW)
    for module in (upload, probe_steps):
        monkeypatch.setattr(module, "PART_SIZE", 64 * 1024)


@pytest.fixture
def cos(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cos]:
    resolve_localhost(monkeypatch)
    with cos_stand_in() as running:
        yield running
        assert running.objects == {}, "a probe removes what it has written"
        assert running.uploads == {}


def troubles(results: list[ProbeResult]) -> dict[str, tuple[str, str, str | None]]:
    """Return what is not ok, by its name: the outcome, what was found, and what would mend it."""
    for secret in (SECRET, "X-Amz", "http:", "https:"):
        assert secret not in repr(results)
    return {
        each.name: (each.outcome, each.what, each.mend) for each in results if each.outcome != "ok"
    }


def test_a_bucket_of_cos_with_the_right_settings_can_do_all(cos: Cos, settings: Settings) -> None:
    results = probe_store(cos.settings(settings), thorough=False)
    assert troubles(results) == {}
    assert [each.name for each in results] == QUICK
    assert cos.hosts == {"bucket"}


@pytest.mark.usefixtures("few")
def test_over_tls_cos_takes_no_checksum_of_the_newer_kind_and_proves_files_by_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> None:
    resolve_localhost(monkeypatch)
    certificates = Certificates.made_in(tmp_path, f"{BUCKET}.{HOST}")
    with cos_stand_in(certificates.server) as cos:
        cos.page, cos.late, cos.lost_answers, cos.kms = FEW, 1, 1, True
        cos.behind = timedelta(seconds=2)
        newer = cos.settings(settings, s3_ca_bundle=certificates.ca, s3_checksums="when_supported")
        assert troubles(probe_store(newer)) == {
            "put": (
                "failed",
                (
                    "E_STORE_REFUSED: The object store rejected a request as invalid "
                    "(MissingContentLength)."
                ),
                "Set EXPORTS_S3_CHECKSUMS=when_required: it was tried, and helps.",
            )
        }
        right = newer.model_copy(update={"s3_checksums": "when_required"})
        results = probe_store(right)
        assert [each.name for each in results][-4:] == [
            "three parts",
            "1,001 objects",
            "link: ended",
            "clean-up",
        ]
        assert troubles(results) == {
            "1,001 objects": (
                "warning",
                "Objects are listed up to 1 s after they were written.",
                "Nothing: a sweep removes what is listed too late.",
            )
        }
        assert (cos.objects, cos.lost_answers) == ({}, 0)


BROKEN: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str, str | None]]] = {
    "path style in a new bucket": (
        {},
        {"s3_addressing_style": "path"},
        "list",
        "failed",
        "PathStyleDomainForbidden",
        "Set EXPORTS_S3_ADDRESSING_STYLE=virtual: it was tried",
    ),
    "another bucket": (
        {},
        {"s3_bucket": "other-1250000000"},
        "list",
        "failed",
        "E_BUCKET: There is no bucket named 'other-1250000000'",
        "EXPORTS_S3_BUCKET",
    ),
    "a wrong secret key": (
        {},
        {"s3_secret_access_key": SecretStr(f"{SECRET}-2")},
        "list",
        "failed",
        "SignatureDoesNotMatch",
        "EXPORTS_S3_SECRET_ACCESS_KEY",
    ),
    "another region": (
        {"region": "ap-guangzhou"},
        {},
        "list",
        "failed",
        "AuthorizationHeaderMalformed",
        "EXPORTS_S3_REGION",
    ),
    "no right to write": ({"denied": "PUT"}, {}, "put", "failed", "E_STORE_ACCESS", "docs/access"),
    "no right to read": ({"denied": "GET"}, {}, "get", "failed", "E_STORE_ACCESS", "docs/access"),
    "encrypted with a key of KMS": (
        {"kms": True, "crc": False},
        {},
        "upload",
        "warning",
        "each file is read back once",
        None,
    ),
    "everybody may read": (
        {"public": True},
        {},
        "link: no signature",
        "failed",
        "the bucket is public",
        "Make the bucket private",
    ),
    "no names of files": (
        {"forces_download": True},
        {},
        "link",
        "warning",
        "not under its name",
        "EXPORTS_S3_PUBLIC_ENDPOINT_URL",
    ),
    "a domain of one's own that is taken for COS": (
        {},
        {"s3_public_endpoint_url": OWN_HOST, "s3_addressing_style": "virtual"},
        "link",
        "failed",
        "A link is refused",
        "Set EXPORTS_S3_PUBLIC_ENDPOINT_IS_BUCKET=on: it was tried",
    ),
    "a public address that leads nowhere from here": (
        {},
        {"s3_public_endpoint_url": "http://127.0.0.1:9"},
        "link",
        "warning",
        "can't reach the address of links",
        "where its readers are",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_named_with_what_mends_it(cos: Cos, settings: Settings, what: str) -> None:
    differs, changes, name, outcome, found, mend = BROKEN[what]
    for option, value in differs.items():
        setattr(cos, option, value)
    if changes.get("s3_public_endpoint_url") == OWN_HOST:
        changes = {**changes, "s3_public_endpoint_url": f"http://{OWN_HOST}:{cos.port}"}
    [(only, trouble)] = troubles(
        probe_store(cos.settings(settings, **changes), thorough=False)
    ).items()
    assert (only, trouble[0]) == (name, outcome)
    assert found in trouble[1]
    assert (trouble[2] is None) if mend is None else (mend in str(trouble[2]))


def test_a_probe_that_may_not_remove_writes_little_and_says_what_is_left(
    cos: Cos, settings: Settings
) -> None:
    cos.denied = "DELETE"
    results = probe_store(cos.settings(settings))
    assert [each.name for each in results] == ["list", "put", "get", "delete", "clean-up"]
    assert {*troubles(results)} == {"delete", "clean-up"}
    assert len(cos.objects) == 3
    cos.objects.clear()


@pytest.mark.usefixtures("few")
def test_a_store_that_lists_one_page_only_is_not_usable(
    cos: Cos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_steps, "_LOOKS", 1)
    monkeypatch.setattr(probe_links, "MAX_SKEW_MS", 0)
    cos.page, cos.pages, cos.ends_links = FEW, False, False
    found = troubles(probe_store(cos.settings(settings)))
    assert "of 21 objects are missing in the listing" in found["1,001 objects"][1]
    assert found["link: ended"][:2] == ("failed", "A link that has ended still leads to its file.")
    cos.objects.clear()


def test_a_probe_that_is_stopped_removes_what_it_has_written(
    cos: Cos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: ProbeSteps) -> None:
        assert cos.objects
        raise KeyboardInterrupt

    monkeypatch.setattr(ProbeSteps, "_abort", stopped)
    with pytest.raises(KeyboardInterrupt):
        probe_store(cos.settings(settings))
    assert cos.objects == {}
