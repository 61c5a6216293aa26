"""How long a presigned link is good: never longer than its signature, nor its credentials."""

from bisect import bisect_left
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.credentials import RefreshableCredentials

from exports.errors import SettingsError, StoreUnavailableError
from exports.settings import Settings

_SIGNED_AT: Final = "%Y%m%dT%H%M%SZ"


def temporary_credentials(settings: Settings) -> RefreshableCredentials | None:
    """Return the credentials of the clients that `s3_client` has made, if they end by themselves.

    A link ends with the credentials that signed it, whatever it says of itself:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html

    Raises:
        SettingsError: They are temporary, and nobody says until when.
    """
    session = boto3.DEFAULT_SESSION
    if settings.s3_access_key_id is not None or session is None:
        return None
    found = session.get_credentials()
    if isinstance(found, RefreshableCredentials):
        return found
    if found is not None and found.token:
        raise SettingsError(
            "The credentials of the object store have a session token, so they end, and nothing "
            "says when. Set AWS_CREDENTIAL_EXPIRATION, as `aws configure export-credentials` does, "
            "or use a role or a key without a token."
        )
    return None


def lifetime(credentials: RefreshableCredentials | None, wanted: int) -> int:
    """Return for how many seconds a link that is signed now may be good.

    Args:
        credentials: What it is signed with; None for those that do not end.
        wanted: Seconds that are wanted, at least one.

    Raises:
        StoreUnavailableError: The credentials end now, and there are no fresh ones yet.
    """
    if credentials is None:
        return wanted
    credentials.get_frozen_credentials()  # fresh ones, if it is time for them
    # They do not tell when they end; they tell whether they will have ended by a time.
    good = bisect_left(
        range(1, wanted + 1),
        x=True,
        key=lambda seconds: credentials.refresh_needed(refresh_in=seconds),
    )
    # Of the second that passes until it is signed, nothing is known.
    if good < wanted:
        good -= 1
    if good < 1:
        raise StoreUnavailableError("The credentials of the object store are about to end.")
    return good


def end_of_link(url: str) -> int:
    """Return when the signature of a presigned link ends, in epoch milliseconds.

    It counts from the whole second in which it was made:
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    query = parse_qs(urlsplit(url).query)
    [signed_at], [seconds] = query["X-Amz-Date"], query["X-Amz-Expires"]
    began = datetime.strptime(signed_at, _SIGNED_AT).replace(tzinfo=UTC)
    return (int(began.timestamp()) + int(seconds)) * 1000
