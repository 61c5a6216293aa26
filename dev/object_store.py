"""A client of the embedded object store."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from dev.endpoints import Endpoints


def connect(endpoints: "Endpoints", *, timeout: float = 60, attempts: int = 5) -> "S3Client":
    """Return a client; close it after use.

    Args:
        endpoints: Address and keys of the server.
        timeout: Seconds to wait for a connection, and for a response.
        attempts: How often a request is sent at most.
    """
    return boto3.client(  # pyright: ignore[reportUnknownMemberType] -- only S3's types are installed
        "s3",
        endpoint_url=endpoints.s3_endpoint_url,
        region_name=endpoints.s3_region,
        aws_access_key_id=endpoints.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=endpoints.s3_secret_access_key.get_secret_value(),
        config=Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"total_max_attempts": attempts},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
