"""Messages: what is told of an export, to whom, and by which channel."""
