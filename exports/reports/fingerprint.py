"""Fingerprints of reports: whether two workers mean the same when they say `statsMonthly`.

During a deploy, workers with different reports files run side by side. All units of an export are
read by one definition, or its columns would change in the middle of the file.
"""

import hashlib
import inspect
import json
from typing import Final

from pydantic import BaseModel

# To be raised whenever a definition comes to mean other rows, columns or units than before.
_MEANING: Final = 1
_DIGITS: Final = 16


def of_definition(name: str, definition: BaseModel) -> str:
    """Return the fingerprint of a report that a table of the reports file defines.

    Comments and the order of keys do not matter, the order of columns does. What stands at its
    default is left out, so that a release that knows one key more agrees with the one before.

    Args:
        name: What the report is called.
        definition: What its table says.
    """
    said = definition.model_dump(mode="json", exclude_defaults=True)
    return _fingerprint(type(definition).__name__, name, json.dumps(said))


def of_class(name: str, title: str, made_by: type) -> str:
    """Return the fingerprint of a report that is a class: of its module's source, if it is there.

    What that module imports is not looked at.

    Args:
        name: What the report is called.
        title: What people call it.
        made_by: Its class.
    """
    try:
        module = inspect.getmodule(made_by)
        source = inspect.getsource(module) if module else ""
    except OSError:
        source = ""
    return _fingerprint(f"{made_by.__module__}:{made_by.__qualname__}", name, title, source)


def _fingerprint(*said: str) -> str:
    return hashlib.sha256(json.dumps([_MEANING, *said]).encode()).hexdigest()[:_DIGITS]
