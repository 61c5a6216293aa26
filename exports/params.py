"""What a client says about a statistics export: its year, or its year and month."""

import re
from typing import Annotated, Final

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from exports.periods import MAX_YEAR, MIN_YEAR

_DIGITS: Final = re.compile(r"[0-9]{1,4}")


def _whole_number(value: object) -> object:
    # A command line sends text. `True` is an int to Python, but no year.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a whole number")  # noqa: TRY004 -- pydantic turns it into its own
    return value


_WholeNumber = BeforeValidator(_whole_number)


class YearParams(BaseModel):
    """Parameters of a report of one year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: Annotated[int, _WholeNumber, Field(ge=MIN_YEAR, le=MAX_YEAR)]


class MonthParams(YearParams):
    """Parameters of a report of one month."""

    month: Annotated[int, _WholeNumber, Field(ge=1, le=12)]


class ParamDescription(BaseModel):
    """One parameter, for people.

    Attributes:
        name: Its name.
        type: What it is: `integer`.
        required: Whether it has to be given.
        values: Which values it may have: `1 to 12`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: str
    required: bool
    values: str


def describe(params: type[YearParams]) -> list[ParamDescription]:
    """Describe the parameters of a statistics report, in order."""
    return [
        ParamDescription(
            name=name,
            type="integer",
            required=field.is_required(),
            values=" to ".join(_bounds(field.metadata)),
        )
        for name, field in params.model_fields.items()
    ]


def _bounds(metadata: list[object]) -> list[str]:
    low = [str(item.ge) for item in metadata if isinstance(item, Ge)]
    high = [str(item.le) for item in metadata if isinstance(item, Le)]
    return low + high
