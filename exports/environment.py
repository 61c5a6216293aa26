"""Reads settings from environment variables, and says what is wrong with them."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from exports.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX: Final = "EXPORTS_"
_NAMED: Final = re.compile(rf"{PREFIX}\w+")
# What to say for pydantic's types of errors; the names in braces are those of its context.
_PROBLEMS = {
    "missing": "is needed and not set",
    "value_error": "{error}",
    "literal_error": "must be {expected}",
    "bool_parsing": "must be on or off",
    "int_parsing": "must be a whole number",
    "time_delta_parsing": "must be a duration in seconds or in ISO 8601, such as 1800 or PT30M",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


class EnvironmentSettings(BaseSettings):
    """Settings that are read from the variables `EXPORTS_…`. An empty variable is not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: A variable is missing or wrong. The message and `fields` name the
                variables, and never contain their values.
        """
        try:
            return cls()
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        missing = [_variable(item) for item in found if item["type"] == "missing"]
        msg = f"Settings are wrong: {'; '.join(_problems(found))}."
        if missing:
            msg = f"These settings are needed and not set: {', '.join(missing)}."
        raise SettingsError(msg, fields={_variable(item): _problem(item) for item in found})

    @classmethod
    def variables(cls) -> set[str]:
        """Return the names of the variables that are read."""
        return {f"{PREFIX}{name.upper()}" for name in cls.model_fields}


def _variable(item: "ErrorDetails") -> str:
    if item["loc"]:
        return f"{PREFIX}{str(item['loc'][0]).upper()}"
    # What concerns several variables names them itself.
    return next(iter(_NAMED.findall(_problem(item))), PREFIX)


def _problems(found: "list[ErrorDetails]") -> Iterator[str]:
    for item in found:
        problem = _problem(item)
        yield f"{_variable(item)}: {problem}" if item["loc"] else problem


def _problem(item: "ErrorDetails") -> str:
    template = _PROBLEMS.get(item["type"])
    return template.format_map(item.get("ctx", {})) if template else item["msg"]
