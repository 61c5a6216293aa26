"""The definition of a row-level report: a table `[reports.NAME]` with `kind = "rows"`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from exports.characters import can_mislead
from exports.reports.definition import Definition, FieldPath, Name, Table, field_as_table
from exports.source.types import ColumnType, OnMismatch

_DEFAULT_SCALE: Final = 2
_MOST_COLUMNS: Final = 16_384
"""As many as a sheet of Excel has."""
_FORMATTED: Final = ("integer", "number", "decimal", "datetime", "date")
_LONGEST_FORMAT: Final = 255
"""Characters. Excel rejects a workbook with a longer number format."""


def _check_number_format(text: str) -> str:
    if not text or len(text) > _LONGEST_FORMAT or any(map(can_mislead, text)):
        raise ValueError(
            f"is not a number format; use 1 to {_LONGEST_FORMAT} characters, such as #,##0.00"
        )
    return text


class FieldColumn(Table):
    """A column of the file: one field of each document.

    Attributes:
        field: Path of the field. If the path leads through an array, the value is the array of
            the values in its documents, as in MongoDB's own expressions.
        title: Heading of the column; its name if None.
        type: Type of the column's values.
        number_format: How spreadsheets show them, in Excel's notation (`#,##0.00`).
        scale: For a decimal: the number of decimal places; 2 if None.
    """

    field: FieldPath
    title: Name | None = None
    type: ColumnType = "text"
    number_format: Annotated[str, AfterValidator(_check_number_format)] | None = None
    scale: Annotated[int, Field(ge=0, le=38)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scale is not None and self.type != "decimal":
            raise ValueError(f"has the type {self.type}; only a decimal has a `scale`")
        if self.number_format is not None and self.type not in _FORMATTED:
            raise ValueError(
                f"has the type {self.type}; only numbers and dates have a `number_format`"
            )
        return self

    @property
    def places(self) -> int:
        """The number of decimal places."""
        return _DEFAULT_SCALE if self.scale is None else self.scale


class RowsDefinition(Definition):
    """A row-level report: one row per document.

    Attributes:
        kind: The kind of report.
        columns: Which fields of a document are shown, by the names of the columns.
        on_mismatch: What happens to a value that does not fit its column: the export fails; or
            the whole column becomes text; or the value is left out. The last two are counted in
            the warnings.
        long_text: What happens to a text that is longer than the file format allows: the export
            fails, or the text is cut, which is counted in the warnings.
    """

    kind: Literal["rows"]
    columns: Annotated[
        Mapping[Name, Annotated[FieldColumn, BeforeValidator(field_as_table)]],
        Field(min_length=1, max_length=_MOST_COLUMNS),
    ]
    on_mismatch: OnMismatch = "fail"
    long_text: Literal["fail", "cut"] = "fail"
