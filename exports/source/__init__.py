"""Reading MongoDB: documents in, Arrow batches out."""
