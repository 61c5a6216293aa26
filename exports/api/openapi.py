"""The OpenAPI document, where it is not what FastAPI makes of the routes."""

from typing import Any

from fastapi import FastAPI


class DocumentedApi(FastAPI):
    """FastAPI, with the errors of this API in place of its own."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is made once."""
        if self.openapi_schema is None:
            made = super().openapi()
            for path in made["paths"].values():
                for call in path.values():
                    if "HTTPValidationError" in str(call["responses"].get("422")):
                        del call["responses"]["422"]
            for name in ("HTTPValidationError", "ValidationError"):
                made["components"]["schemas"].pop(name, None)
        return super().openapi()
