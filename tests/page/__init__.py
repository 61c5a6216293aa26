"""The exports page in Chromium, as people use it: `make test-page`."""
