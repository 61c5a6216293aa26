"""Files that only their owner can read."""

from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file as a whole, so that no program reads half of it."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(file)
