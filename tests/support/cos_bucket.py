"""The bucket of the stand-in for Tencent COS: what it holds, and how it answers.

See `tests.support.cos_stand_in`.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import SecretStr

from exports.settings import Settings
from exports.storage.stored_bytes import md5_of
from tests.support.leaks import CANARY

BUCKET: Final = "team-1250000000"
REGION: Final = "ap-shanghai"
KEY: Final = "AKIDstandin"
SECRET: Final = f"{CANARY}-cos-secret"
HOST: Final = "cos.localhost"
"""The host of the region; that of the bucket is `BUCKET.HOST`."""
OWN_HOST: Final = "files.localhost"
"""A domain of the bucket's owner, which leads to the bucket itself."""


class CosError(Exception):
    """An answer that is an error.

    Attributes:
        status: Its HTTP status.
        code: Its code.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass
class CosObject:
    """An object."""

    data: bytes
    etag: str
    headers: dict[str, str]
    written: float = field(default_factory=time.monotonic)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class CosUpload:
    """An open upload."""

    key: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Cos:
    """The stand-in, what it holds, and how else it can be.

    Attributes:
        port: Its port.
        scheme: `http` or `https`.
        objects: What it holds, by key.
        uploads: The open uploads, by id.
        hosts: To which kind of host each request came: `region`, `bucket` or `own`.
        old_bucket: The bucket is from before 2024, and path style is allowed.
        forces_download: At COS's own domain, no file has a name. That is documented for new
            buckets, but not whether it is so for links that ask for a name.
        late: How many listings of several pages lack what was written last.
        kms: No ETag is an MD5. Otherwise ETags are those of S3: what COS makes that of a multipart
            upload of is not documented.
        crc: Answers have a CRC-64. Whether they have it if the request is signed as for S3, is not
            documented.
        lost_answers: How many answers to CompleteMultipartUpload are lost on their way.
        ends_links: It refuses links that have ended.
        behind: By how much its clock is behind, when it looks at the end of a link.
        public: Everybody may read.
        denied: The methods that its policy denies for objects.
        region: The region that signatures must name; any, if it is empty.
        page: How many objects are on a page.
        pages: Whether there are more pages than one.
    """

    port: int = 0
    scheme: str = "http"
    objects: dict[str, CosObject] = field(default_factory=dict[str, CosObject])
    uploads: dict[str, CosUpload] = field(default_factory=dict[str, CosUpload])
    hosts: set[str] = field(default_factory=set[str])
    old_bucket: bool = False
    forces_download: bool = False
    late: int = 0
    kms: bool = False
    crc: bool = True
    lost_answers: int = 0
    ends_links: bool = True
    behind: timedelta = timedelta(0)
    public: bool = False
    denied: str = ""
    region: str = ""
    page: int = 1000
    pages: bool = True

    def settings(self, settings: Settings, **changes: Any) -> Settings:
        """Return settings with this bucket, as somebody has them who has set nothing wrong."""
        own: dict[str, Any] = {
            "s3_endpoint_url": f"{self.scheme}://{HOST}:{self.port}",
            "s3_bucket": BUCKET,
            "s3_region": REGION,
            "s3_access_key_id": SecretStr(KEY),
            "s3_secret_access_key": SecretStr(SECRET),
            "s3_addressing_style": "virtual",
        }
        return settings.model_copy(update=own | changes)

    def key_of(self, host: str, path: str) -> str:
        """Return the key that an address names; empty for the bucket itself."""
        name, _, _ = host.partition(":")
        if name == HOST:
            self.hosts.add("region")
            if not self.old_bucket:
                raise CosError(403, "PathStyleDomainForbidden")
            bucket, _, key = path.removeprefix("/").partition("/")
        else:
            self.hosts.add("own" if name == OWN_HOST else "bucket")
            bucket = BUCKET if name == OWN_HOST else name.removesuffix(f".{HOST}")
            key = path.removeprefix("/")
        if bucket != BUCKET:
            raise CosError(404, "NoSuchBucket")
        return unquote(key)

    def put(self, key: str, data: bytes, headers: Mapping[str, str], etag: str = "") -> CosObject:
        """Write an object, and return it."""
        kept = {
            name: headers[name]
            for name in ("content-type", "content-disposition")
            if name in headers
        }
        found = CosObject(data, etag or self.etag(data), kept)
        self.objects[key] = found
        return found

    def etag(self, data: bytes) -> str:
        """Return the ETag of an object or a part."""
        return secrets.token_hex(16) if self.kms else md5_of(data).hex()

    def complete(self, upload_id: str) -> CosObject:
        """Make an upload an object."""
        upload = self.upload(upload_id)
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        del self.uploads[upload_id]
        etag = self.etag(b"".join(md5_of(part) for part in parts))
        return self.put(upload.key, b"".join(parts), upload.headers, f"{etag}-{len(parts)}")

    def upload(self, upload_id: str) -> CosUpload:
        """Return an open upload."""
        if upload_id not in self.uploads:
            raise CosError(404, "NoSuchUpload")
        return self.uploads[upload_id]

    def listing(self, asked: Mapping[str, str]) -> str:
        """List objects. There are no tokens: `list-type`, and what belongs to it, is ignored."""
        there = self.objects.copy()
        if self.late and there:
            del there[max(there, key=lambda key: there[key].written)]
        after = sorted(
            key
            for key in there
            if key.startswith(asked.get("prefix", "")) and key > asked.get("marker", "")
        )
        page = after[: min(int(asked.get("max-keys", self.page)), self.page)]
        more = self.pages and len(page) < len(after)
        if self.late and "marker" in asked and not more:
            self.late -= 1
        written = quote if asked.get("encoding-type") == "url" else escape
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>"
            + (f"<NextMarker>{written(page[-1])}</NextMarker>" if more and page else "")
            + ("<EncodingType>url</EncodingType>" if written is quote else "")
            + "".join(
                f"<Contents><Key>{written(key)}</Key>"
                f"<LastModified>{_iso(there[key].modified)}</LastModified></Contents>"
                for key in page
            )
            + "</ListBucketResult>"
        )

    def open_uploads(self, asked: Mapping[str, str]) -> str:
        """List open uploads, all on one page."""
        written = quote if asked.get("encoding-type") == "url" else escape
        return (
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
            + ("<EncodingType>url</EncodingType>" if written is quote else "")
            + "".join(
                f"<Upload><Key>{written(upload.key)}</Key><UploadId>{upload_id}</UploadId>"
                f"<Initiated>{_iso(upload.begun)}</Initiated></Upload>"
                for upload_id, upload in self.uploads.copy().items()
                if upload.key.startswith(asked.get("prefix", ""))
            )
            + "</ListMultipartUploadsResult>"
        )

    def check_signed(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Check the signature of a request, in its headers or in its address."""
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        if "X-Amz-Signature" in query:
            credential, names = query["X-Amz-Credential"], query["X-Amz-SignedHeaders"]
            signature, at = query["X-Amz-Signature"], query["X-Amz-Date"]
            url = re.sub(r"&X-Amz-Signature=[0-9a-f]+", "", url)
            auth_class: type[S3SigV4Auth | S3SigV4QueryAuth] = S3SigV4QueryAuth
            end = datetime.strptime(at, "%Y%m%dT%H%M%S%z") + timedelta(
                seconds=int(query["X-Amz-Expires"])
            )
            if self.ends_links and datetime.now(UTC) - self.behind > end:
                raise CosError(403, "AccessDenied")
        elif found := _AUTHORIZATION.fullmatch(headers.get("authorization", "")):
            credential, names, signature = found.groups()
            auth_class, at = S3SigV4Auth, headers["x-amz-date"]
        elif self.public and method in ("GET", "HEAD"):
            return
        else:
            raise CosError(403, "AccessDenied")
        key, _, region, *_ = credential.split("/")
        if key != KEY:
            raise CosError(403, "InvalidAccessKeyId")
        if self.region and region != self.region:
            raise CosError(400, "AuthorizationHeaderMalformed")
        signed = {name: headers[name] for name in names.split(";")}
        request = AWSRequest(method, url, signed)
        request.context["timestamp"] = at
        auth = auth_class(Credentials(KEY, SECRET), "s3", region)
        text = auth.string_to_sign(request, auth.canonical_request(request))
        if auth.signature(text, request) != signature:
            raise CosError(403, "SignatureDoesNotMatch")


_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]+)"
)


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
