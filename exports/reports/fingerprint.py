"""Fingerprints of reports, which tell whether two workers define `statsMonthly` in the same way.

During a deploy, workers with different reports files run side by side. All units of an export must
be read with the same definition, or the columns would change in the middle of the file.
"""

import hashlib
import inspect
import json
from typing import Final

from pydantic import BaseModel

_VERSION: Final = 2
"""Raise this if the same definition gives other rows, columns or units than before."""
_DIGITS: Final = 16
"""Hexadecimal digits of a fingerprint."""


def of_definition(name: str, definition: BaseModel) -> str:
    """Return the fingerprint of a report that a table of the reports file defines.

    Comments and the order of keys do not matter, the order of columns does. Values that equal the
    default are left out, so that a release with one more key agrees with the release before.

    Args:
        name: The name of the report.
        definition: The content of its table.
    """
    content = definition.model_dump(mode="json", exclude_defaults=True)
    return _fingerprint(type(definition).__name__, name, json.dumps(content))


def of_class(name: str, title: str, made_by: type) -> str:
    """Return the fingerprint of a report that is a class, from its module's source if available.

    Changes in modules that it imports do not change the fingerprint.

    Args:
        name: The name of the report.
        title: Its title for people.
        made_by: Its class.
    """
    try:
        module = inspect.getmodule(made_by)
        source = inspect.getsource(module) if module else ""
    except OSError:
        source = ""
    return _fingerprint(f"{made_by.__module__}:{made_by.__qualname__}", name, title, source)


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256(json.dumps([_VERSION, *parts]).encode()).hexdigest()[:_DIGITS]
