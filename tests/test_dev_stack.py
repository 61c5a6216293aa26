"""What `make dev` and the tests themselves promise about the embedded servers."""

from typing import TYPE_CHECKING, Any

from pymongo.asynchronous.database import AsyncDatabase
from temporalio.client import Client

from exports.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


async def test_a_test_has_a_database_a_prefix_and_a_task_queue_of_its_own(
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
    s3_client: "S3Client",
    temporal_client: Client,
) -> None:
    assert await mongo_database.list_collection_names() == []
    s3_client.put_object(Bucket=settings.s3_bucket, Key=f"{settings.s3_prefix}a", Body=b"x")
    s3_client.create_multipart_upload(Bucket=settings.s3_bucket, Key=f"{settings.s3_prefix}b")
    assert await temporal_client.service_client.check_health()
