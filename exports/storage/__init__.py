"""The bucket: objects, uploads, links."""
