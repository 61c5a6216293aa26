"""A stand-in for Tencent COS: the documented answers in which COS differs from other stores.

It is no COS: nothing here has been compared with the real one. From
https://www.tencentcloud.com/document/product/436/75050 (path style),
https://www.tencentcloud.com/document/product/436/57456 (force-download at the default domain),
https://www.tencentcloud.com/document/product/436/7730 (errors),
https://www.tencentcloud.com/document/product/436/30614 (listing: markers, and late),
https://www.tencentcloud.com/document/product/436/45260 (CRC-64), and
https://github.com/infiniflow/ragflow/pull/15930 (chunks with a trailer: MissingContentLength).
"""

import re
import secrets
import socket
import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastcrc import crc64

from tests.support.cos_bucket import OWN_HOST, Cos, CosError, CosUpload

_NO_HEADERS: Final[Mapping[str, str]] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cos: Cos

    def do_any(self) -> None:
        cos, headers = self.cos, {name.lower(): value for name, value in self.headers.items()}
        body = self._body()
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            key = cos.key_of(headers["host"], url.path)
            cos.check_signed(self.command, f"{cos.scheme}://{headers['host']}{self.path}", headers)
            if key:
                self._of_object(key, query, headers, body)
            else:
                found = cos.open_uploads(query) if "uploads" in query else cos.listing(query)
                self._answer(200, found.encode())
        except CosError as error:
            self._answer(
                error.status,
                f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>{error.code}</Code>\n"
                f"\t<Message>of the stand-in</Message>\n\t<Resource>{headers['host']}</Resource>\n"
                "\t<RequestId>NjA=</RequestId>\n\t<TraceId>OGVm</TraceId>\n</Error>\n".encode(),
            )

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815 -- the names in the base class

    def _of_object(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes | None
    ) -> None:
        cos, upload_id = self.cos, query.get("uploadId")
        if self.command in cos.denied:
            raise CosError(403, "AccessDenied")
        if body is None:
            raise CosError(411, "MissingContentLength")
        match self.command:
            case "PUT" if upload_id:
                cos.upload(upload_id).parts[int(query["partNumber"])] = body
                self._answer(200, headers=self._proof(cos.etag(body), body))
            case "PUT":
                found = cos.put(key, body, headers)
                self._answer(200, headers=self._proof(found.etag, body))
            case "POST" if upload_id:
                found = cos.complete(upload_id)
                if cos.lost_answers:
                    cos.lost_answers -= 1
                    self.close_connection = True
                    return
                etag = f"<ETag>&quot;{found.etag}&quot;</ETag>"
                text = f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>"
                self._answer(200, text.encode())
            case "POST":
                upload_id = secrets.token_hex(16)
                cos.uploads[upload_id] = CosUpload(key, headers)
                text = f"<UploadId>{upload_id}</UploadId>"
                text = f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>"
                self._answer(200, text.encode())
            case "DELETE" if upload_id:
                cos.upload(upload_id)
                del cos.uploads[upload_id]
                self._answer(204)
            case "DELETE":
                cos.objects.pop(key, None)
                self._answer(204)
            case _:
                self._read(key, query, headers)

    def _read(self, key: str, query: dict[str, str], headers: dict[str, str]) -> None:
        if key not in self.cos.objects:
            raise CosError(404, "NoSuchKey")
        found = self.cos.objects[key]
        own = {"response-content-disposition": "content-disposition"}
        sent = found.headers | {own[name]: query[name] for name in own if name in query}
        if self.cos.forces_download and not headers["host"].startswith(OWN_HOST):
            sent |= {"content-disposition": "attachment", "x-cos-force-download": "true"}
        sent |= self._proof(found.etag, found.data)
        data = found.data
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
            first, last = map(int, wanted.groups())
            if first >= len(data):
                raise CosError(416, "InvalidRange")
            sent["content-range"] = f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
            self._answer(206, data[first : last + 1], sent)
        else:
            self._answer(200, data, sent)

    def _proof(self, etag: str, data: bytes) -> dict[str, str]:
        crc = {"x-cos-hash-crc64ecma": str(crc64.xz(data))} if self.cos.crc else {}
        return {"ETag": f'"{etag}"', **crc}

    def _body(self) -> bytes | None:
        """Return what was sent; None if it came in chunks, which COS does not take."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            return None if "aws-chunked" in self.headers.get("content-encoding", "") else body
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            self.rfile.read(size + 2)
        self.rfile.readline()
        return None

    def _answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-cos-request-id", "NjA=")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
        pass


@contextmanager
def cos_stand_in(tls: ssl.SSLContext | None = None) -> Generator[Cos]:
    """Run a stand-in; over TLS with this context. Resolve its names: see `resolve_localhost`."""
    cos = Cos(scheme="https" if tls else "http")
    handler = type("_CosHandler", (_Handler,), {"cos": cos})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        cos.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield cos
        finally:
            server.shutdown()
            thread.join()


def resolve_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names below `localhost` be this machine, as RFC 6761 has it; not every resolver does."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **kwargs: Any) -> Any:
        below = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if below else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
