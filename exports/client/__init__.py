"""`ExportClient`: asks for exports, follows them, and makes links to their files."""

from exports.client.client import ExportClient

__all__ = ["ExportClient"]
