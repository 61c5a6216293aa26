"""Programs for developers: the embedded servers, sample data, `make demo`, `make dev`."""
