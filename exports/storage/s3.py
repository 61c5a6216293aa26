"""The S3 client, with settings that AWS, Tencent COS, MinIO and SeaweedFS all support.

Requests are signed with Signature Version 4. Checksums are sent only where the protocol requires
them, unless the settings say otherwise, because older servers do not know the newer ones.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import boto3
import botocore.credentials
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from exports.errors import SettingsError
from exports.server_errors.store import answer_error, library_error
from exports.settings import Settings
from exports.storage.outages import wait_in_outages

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_TIMEOUT: Final = 30
"""How many seconds the client waits for an answer, or for the next piece of one."""
_CONNECT_TIMEOUT: Final = 4
"""Seconds."""
_SMALL_BODY: Final = 256 * 1024
"""Bytes."""
_COS: Final = (".myqcloud.com", ".tencentcos.cn")
"""The hosts of Tencent COS: https://www.tencentcloud.com/document/product/436/6224"""
MISSING_OBJECT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
"""Error codes for an object that does not exist."""


def s3_client(settings: Settings, endpoint: str | None) -> "S3Client":
    """Return a boto3 client. Without an endpoint it uses that of AWS for the region.

    Raises:
        SettingsError: The settings are wrong, or the variables and files that the SDK reads are.
    """
    try:
        client = _client(settings, endpoint)
    except (BotoCoreError, ValueError, OSError) as error:
        what = "endpoint" if type(error) is ValueError else type(error).__name__
        raise SettingsError(f"The settings of the object store are not valid ({what}).") from None
    wait_in_outages(client)
    client.meta.events.register_last("before-call.s3", _send_at_once)
    return client


def _send_at_once(params: dict[str, Any], **_: object) -> None:
    """Send a small body together with its headers.

    botocore sends the headers first, and waits until the store asks for the body (`Expect:
    100-continue`), or for a second if it never does. That spares the sending of a body that is
    refused, and costs a round trip.
    """
    body = params.get("body")
    if isinstance(body, BytesIO) and body.getbuffer().nbytes <= _SMALL_BODY:
        params["headers"].pop("Expect", None)


def link_client(settings: Settings) -> "S3Client | None":
    """Return a client that signs links to the public endpoint; None if there is none.

    Raises:
        SettingsError: As `s3_client`.
    """
    endpoint = settings.s3_public_endpoint_url
    if endpoint is None or not settings.s3_public_endpoint_is_bucket:
        return s3_client(settings, endpoint) if endpoint else None
    client = s3_client(settings.model_copy(update={"s3_addressing_style": "path"}), endpoint)

    def leave_bucket_out(request: AWSRequest, **_: object) -> None:
        url = urlsplit(str(request.url))
        path = url.path.replace(f"/{settings.s3_bucket}/", "/", 1)
        request.url = urlunsplit(url._replace(path=path))

    client.meta.events.register("before-sign.s3.GetObject", leave_bucket_out)
    return client


def _client(settings: Settings, endpoint: str | None) -> "S3Client":
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    style = settings.s3_addressing_style
    if style == "auto" and (endpoint is None or _is_cos(endpoint)):
        # With "auto", links name AWS's global host, which redirects to a region, where the
        # signature is not valid: https://github.com/boto/boto3/issues/3015
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
            # Steps wait and retry too; this retry is for faults of a moment.
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=32,
        ),
    )


def _is_cos(endpoint: str) -> bool:
    """Return whether this is Tencent COS, where new buckets are only in the host name."""
    return (urlsplit(endpoint).hostname or "").endswith(_COS)


def _trusted(settings: Settings) -> str | None:
    """Return the file of certificates. It is checked here: the SDK reads it when it connects."""
    bundle = settings.s3_ca_bundle
    if bundle is None:
        return None  # those of the machine, or of AWS_CA_BUNDLE
    try:
        ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        raise SettingsError(
            "EXPORTS_S3_CA_BUNDLE is not a file of certificates that can be read."
        ) from None
    return str(bundle)


@contextmanager
def translate_errors(bucket: str) -> Generator[None]:
    """Translate errors of boto3 into domain errors, which name no credentials."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise answer_error(error_code(error), status, bucket) from None
    except (BotoCoreError, HTTPError) as error:
        # The SDK lets some errors of the library below through: those of TLS, in an answer's body.
        raise library_error(error, bucket) from None
    except (RuntimeError, ValueError, OSError) as error:
        if not _while_reading_credentials(error):
            raise
        raise library_error(error, bucket) from None


def _while_reading_credentials(error: Exception) -> bool:
    """Return whether botocore was reading credentials again, which it does before they end."""
    return any(
        frame.f_globals["__name__"] == botocore.credentials.__name__
        for frame, _ in walk_tb(error.__traceback__)
    )


def error_code(error: ClientError) -> str:
    """Return the error code in the answer, or its HTTP status if it has no body."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def content_disposition(file_name: str) -> str:
    """Return the Content-Disposition header with which a browser saves a file under its name.

    It holds both forms of RFC 6266: a quoted ASCII name for old clients, and `filename*` (RFC
    8187) with the exact name.
    """
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name
    )
    exact = quote(file_name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"
