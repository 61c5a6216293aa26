"""`exports probe-store`: what an operator learns of a bucket on the day that they have one."""

from typing import TYPE_CHECKING

from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


async def test_a_bucket_that_can_do_all_is_told_so_and_is_left_as_it_was(
    settings: Settings, temporal_address: str, s3_client: "S3Client"
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    done = await exports.run("probe-store", "--json")
    assert [(each["name"], each["outcome"], each["mend"]) for each in done.json] == [
        (name, "ok", None)
        for name in (
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
            "three parts",
            "1,001 objects",
            "link: ended",
            "clean-up",
        )
    ]
    assert (done.code, done.err) == (0, "")
    bucket, prefix = settings.s3_bucket, settings.s3_prefix
    assert "Contents" not in s3_client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)


async def test_what_failed_is_a_line_of_a_table_and_an_exit_code(
    settings: Settings, temporal_address: str
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    quick = await exports.run("probe-store", "--quick")
    assert (quick.code, quick.err) == (0, "The bucket can do what exports need.\n")
    assert "three parts" not in quick.out
    wrong = await exports.run("probe-store", EXPORTS_S3_BUCKET="nothing-here")
    assert (wrong.code, wrong.err) == (1, "1 failed.\n")
    heading, line = wrong.out.splitlines()
    assert heading.split() == ["what", "outcome", "found", "mended", "by"]
    assert line.startswith("list  failed   E_BUCKET: There is no bucket named 'nothing-here'.")
    assert line.endswith(
        "correct EXPORTS_S3_BUCKET, EXPORTS_S3_REGION and EXPORTS_S3_ENDPOINT_URL."
    )
    as_json = await exports.run("probe-store", "--json", EXPORTS_S3_BUCKET="nothing-here")
    assert (as_json.code, as_json.json[0]["outcome"]) == (1, "failed")
