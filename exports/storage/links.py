"""When a presigned link ends: with its signature, or with the credentials that signed it."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.credentials import RefreshableCredentials

from exports.clock import epoch_ms
from exports.errors import SettingsError, StoreUnavailableError
from exports.settings import Settings


def temporary_credentials(settings: Settings) -> RefreshableCredentials | None:
    """Return the credentials of the clients that `s3_client` makes, if they are temporary.

    A link ends with the credentials that signed it, even if its signature is valid for longer:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html

    Raises:
        SettingsError: They are temporary, and it is not known when they end.
    """
    session = boto3.DEFAULT_SESSION
    if settings.s3_access_key_id is not None or session is None:
        return None
    found = session.get_credentials()
    if isinstance(found, RefreshableCredentials):
        return found
    if found is not None and found.token:
        raise SettingsError(
            "The credentials of the object store have a session token, so they are temporary, but "
            "it is not known when they end. Set AWS_CREDENTIAL_EXPIRATION, as `aws configure "
            "export-credentials` does, or use a role or a key without a token."
        )
    return None


def lifetime(credentials: RefreshableCredentials | None, wanted: int) -> int:
    """Return for how many seconds a link that is signed now may be valid.

    Args:
        credentials: What it is signed with; None for credentials that do not end.
        wanted: How many seconds it should be valid, at least 1.

    Raises:
        StoreUnavailableError: The credentials end now, and there are no new ones yet.
    """
    if credentials is None:
        return wanted
    credentials.get_frozen_credentials()  # gets new ones, if it is time
    # Not public, but the AWS CLI reads it too (`aws configure export-credentials`).
    end: datetime = vars(credentials)["_expiry_time"]
    seconds_left = (end - datetime.now(UTC)) // timedelta(seconds=1)
    # The link is signed a moment later; one second is kept for that.
    seconds = min(wanted, seconds_left - 1)
    if seconds < 1:
        raise StoreUnavailableError("The credentials of the object store are about to end.")
    return seconds


def end_of_link(url: str) -> int:
    """Return when the signature of a presigned link ends, in epoch milliseconds.

    It counts from the second in which the link was signed:
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    query = parse_qs(urlsplit(url).query)
    [signed_at], [seconds] = query["X-Amz-Date"], query["X-Amz-Expires"]
    signed = datetime.strptime(signed_at, "%Y%m%dT%H%M%S%z")
    return epoch_ms(signed + timedelta(seconds=int(seconds)))
