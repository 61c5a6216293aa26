"""How this service speaks S3, to AWS, Tencent COS, MinIO and SeaweedFS alike.

Signature version 4; checksums only where the protocol requires them, unless the settings say
otherwise, because not every server knows the newer ones; objects are deleted one by one, because
COS wants a Content-MD5 for the bulk call and boto3 sends none.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from exports.errors import SettingsError
from exports.server_errors.store import store_library_verdict, store_verdict
from exports.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_TIMEOUT: Final = 30
"""Seconds that an answer, or the next piece of one, is waited for."""
MISSING_OBJECT: Final = frozenset({"NoSuchKey", "404", "NotFound"})


def s3_client(settings: Settings, endpoint: str | None) -> "S3Client":
    """Return a boto3 client; an endpoint of None is AWS's own for the region.

    Raises:
        SettingsError: The settings, or what the SDK's own variables and files add, are no good.
    """
    try:
        return _client(settings, endpoint)
    except (BotoCoreError, ValueError) as error:
        what = type(error).__name__ if isinstance(error, BotoCoreError) else "endpoint"
        raise SettingsError(f"The settings of the object store can't be used ({what}).") from None


def _client(settings: Settings, endpoint: str | None) -> "S3Client":
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    style = settings.s3_addressing_style
    if endpoint is None and style == "auto":
        # The same host, but "auto" signs links for AWS's global one, which redirects to a region
        # and so breaks the signature: https://github.com/boto/boto3/issues/3015
        style = "virtual"
    return boto3.client(  # pyright: ignore[reportUnknownMemberType] -- the stubs of services that are not installed
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        verify=_trusted(settings),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": style},
            request_checksum_calculation=settings.s3_checksums,
            response_checksum_validation=settings.s3_checksums,
            # Temporal retries too; here only what a second try a moment later mends.
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=4,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=32,
        ),
    )


def _trusted(settings: Settings) -> str | None:
    """Return the file of certificates, checked, because the SDK looks at it only when it sends."""
    bundle = settings.s3_ca_bundle
    if bundle is None:
        return None  # the machine's, or what AWS_CA_BUNDLE names
    try:
        ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        raise SettingsError("EXPORTS_S3_CA_BUNDLE is no readable file of certificates.") from None
    return str(bundle)


@contextmanager
def translated(bucket: str) -> Generator[None]:
    """Turn what boto3 raises into a domain error that names no key and no credential."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = error_code(error)
        raise store_verdict(code, status).about(what=code, where=repr(bucket)) from None
    except (BotoCoreError, HTTPError) as error:
        # The SDK lets some errors of the library below through: those of TLS, in an answer's body.
        verdict = store_library_verdict(type(error))
        raise verdict.about(what=type(error).__name__, where=repr(bucket)) from None


def error_code(error: ClientError) -> str:
    """Return the error code that the server sent, or the HTTP status of an answer without body."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def content_disposition(file_name: str) -> str:
    """Return the header that makes a browser save a file under its name.

    Both forms of RFC 6266: a quoted ASCII name for old clients, and `filename*` (RFC 8187) with
    the name as it is.
    """
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name
    )
    exact = quote(file_name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"
