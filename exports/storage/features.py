"""What a worker needs of an object store, and what not every store that speaks S3 can do."""

from exports.names import STAGING, staged_part_key
from exports.settings import Settings
from exports.storage.s3 import s3_client, translate_errors


def check_features(settings: Settings) -> None:
    """Check that files can be uploaded in parts, and that uploads which were left can be found.

    An upload is begun, listed and aborted; nothing is left of it. It blocks for some requests.
    `exports probe-store` tries everything else.

    Args:
        settings: Those of a worker.

    Raises:
        SettingsError: The settings can't be used.
        StoreAccessError: The store refuses the permission.
        StoreRefusedError: The store can't do it.
        StoreUnavailableError: The store can't be reached.
    """
    bucket, prefix = settings.s3_bucket, settings.s3_prefix
    key = prefix + staged_part_key("check", "start", unit="features", attempt="1", index=0)
    client = s3_client(settings, settings.s3_endpoint_url)
    try:
        with translate_errors(bucket):
            upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            try:
                if settings.worker_takes != "bulk":  # those purge nothing, and have no right to
                    client.list_multipart_uploads(
                        Bucket=bucket, Prefix=prefix + STAGING, MaxUploads=1
                    )
            finally:
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    finally:
        client.close()
