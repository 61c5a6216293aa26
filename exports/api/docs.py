"""`/docs`: a page to read about the API and to try it, which loads nothing from elsewhere."""

from typing import Final

import fastapi_offline
from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

PATH: Final = "/docs"
"""Path of the page."""

router = APIRouter(include_in_schema=False)
_FILES: Final = f"{PATH}/static"
# The page has a script of its own, and styles in its elements.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@router.get(PATH)
async def page() -> HTMLResponse:
    """Return Swagger UI."""
    answer = get_swagger_ui_html(
        title="Exports",
        openapi_url="/openapi.json",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
        # Without a validator: that is a server of somebody else.
        swagger_ui_parameters={"validatorUrl": None},
    )
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


def mount_files(app: FastAPI) -> None:
    """Serve the files of Swagger UI, which the package `fastapi-offline` has."""
    app.mount(_FILES, StaticFiles(packages=[(fastapi_offline.__name__, "static")]))
