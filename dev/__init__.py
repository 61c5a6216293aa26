"""Programs for developers: the embedded servers, the sample data, the demo."""
