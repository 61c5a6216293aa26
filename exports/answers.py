"""How a refusal looks wherever one is answered as JSON: the seed's envelope, and `--json`."""

from pydantic import JsonValue

from exports.errors import ExportError


def refused(error: ExportError) -> dict[str, JsonValue]:
    """Return `{"ok": false, "error": {"code", "msg"}}`."""
    return {"ok": False, "error": {"code": error.code, "msg": error.msg}}
