"""The bucket: objects, uploads and presigned links."""
