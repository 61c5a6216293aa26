"""`/`: the exports page, for people with a browser. Its files are in `page/`.

Its modules and styles are below a path that contains a digest of all of them. So a browser keeps
them for a year, and after a deploy asks for none of the old ones.
"""

import gzip
import hashlib
import html
import posixpath
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from exports.api.settings import ApiSettings
from exports.errors import PathUnknownError

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parent / "page"
_INDEX: Final = "index.html"
_APP: Final = "app.js"
_IMPORTED: Final = re.compile(
    r"""^(?:import|export|\}) [^;]*?from ?["'](\.[^"']+)["']""", re.MULTILINE
)
_MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Of the files that are served. What the machine says of them may be wrong."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_ONE_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _File:
    body: bytes
    gzipped: bytes
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> "_File":
        return cls(body, gzip.compress(body, mtime=0), media_type)

    def answer(self, request: Request, headers: dict[str, str]) -> Response:
        headers = {**headers, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(self.gzipped, 200, headers, self.media_type)
        return Response(self.body, 200, headers, self.media_type)


@cache
def _files() -> dict[str, _File]:
    """Return the files that the page loads, by their paths in its folder."""
    return {
        path.relative_to(_FOLDER).as_posix(): _File.of(path.read_bytes(), _MEDIA_TYPES[path.suffix])
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }


class PageFiles:
    """The files of the page, read once.

    Args:
        settings: Of the API.

    Attributes:
        digest: A digest of all files.
        files: By their paths.
        index: The page itself.
        tag: Its ETag. Weak, because it is the same for what is compressed and what is not.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self.files: Final = _files()
        content = {name: file.body for name, file in self.files.items()}
        self.digest: Final = _short_digest(repr(content).encode())
        base = f"page/{self.digest}"
        index = Template((_FOLDER / _INDEX).read_text()).substitute(
            base=base,
            modules="\n".join(
                f'<link rel="modulepreload" href="{base}/{name}">'
                for name in _imported_by(_APP, content)
            ),
            sign_in_url=html.escape(settings.api_sign_in_url or ""),
        )
        self.index: Final = _File.of(index.encode(), "text/html")
        self.tag: Final = f'W/"{_short_digest(index.encode())}"'


def _short_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _imported_by(module: str, files: dict[str, bytes]) -> list[str]:
    """Return a module and all that it imports, so that a browser need not find them one by one."""
    known = [module]
    for name in known:  # it gets longer meanwhile
        imported = (
            posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            for path in _IMPORTED.findall(files[name].decode())
        )
        known += [path for path in dict.fromkeys(imported) if path not in known]
    return known


def add_page(app: FastAPI, settings: ApiSettings) -> None:
    """Let an app serve the page."""
    app.state.page = PageFiles(settings)


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page itself, which names its files."""
    page: PageFiles = request.app.state.page
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "ETag": page.tag,
    }
    if page.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return page.index.answer(request, headers)


@router.get("/page/{digest}/{name:path}")
async def file(digest: str, name: str, request: Request) -> Response:
    """Return a file of the page.

    Raises:
        PathUnknownError: There is none, or it is one of another version.
    """
    page: PageFiles = request.app.state.page
    found = page.files.get(name)
    if found is None or digest != page.digest:
        raise PathUnknownError("There is no such file of the page; load the page again.")
    return found.answer(request, {"Cache-Control": _ONE_YEAR})
