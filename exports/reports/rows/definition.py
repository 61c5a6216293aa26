"""The definition of a row-level report: a table `[reports.NAME]` with `kind = "rows"`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from exports.reports.definition import Definition, FieldPath, Name, Table, field_as_table
from exports.source.types import ColumnType, OnMismatch

_DEFAULT_SCALE: Final = 2
_FORMATTED: Final = ("integer", "number", "decimal", "datetime", "date")
_LONGEST_FORMAT: Final = 255  # of Excel, which rejects a workbook with a longer one


def _check_number_format(text: str) -> str:
    if not text or len(text) > _LONGEST_FORMAT or not text.isprintable():
        raise ValueError(
            f"is not a number format; it has 1 to {_LONGEST_FORMAT} characters, such as #,##0.00"
        )
    return text


class FieldColumn(Table):
    """A column of the file: one field of each document.

    Attributes:
        field: Path of the field. Where an array stands on the way, it is the array of the values
            in its documents, as in MongoDB's own expressions.
        title: Heading of the column; its name if None.
        type: What the column holds.
        number_format: How spreadsheets show it, in Excel's notation (`#,##0.00`).
        scale: For a decimal: how many places it has; 2 if None.
    """

    field: FieldPath
    title: Name | None = None
    type: ColumnType = "text"
    number_format: Annotated[str, AfterValidator(_check_number_format)] | None = None
    scale: Annotated[int, Field(ge=0, le=38)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scale is not None and self.type != "decimal":
            raise ValueError(f"is of type {self.type}; only a decimal has a `scale`")
        if self.number_format is not None and self.type not in _FORMATTED:
            raise ValueError(
                f"is of type {self.type}; only numbers and dates have a `number_format`"
            )
        return self

    @property
    def places(self) -> int:
        """How many digits of a decimal stand after the point."""
        return _DEFAULT_SCALE if self.scale is None else self.scale


class RowsDefinition(Definition):
    """A row-level report: one row per document.

    Attributes:
        kind: Tells it from other kinds of reports.
        columns: What is shown of a document, by the names of the columns.
        on_mismatch: What becomes of a value that does not fit its column: the export fails; or
            the whole column becomes text; or the value is left out. The last two are counted.
        long_text: What becomes of a text that is longer than the file format can hold: the
            export fails, or the text is cut. The second is counted.
    """

    kind: Literal["rows"]
    columns: Annotated[
        Mapping[Name, Annotated[FieldColumn, BeforeValidator(field_as_table)]],
        Field(min_length=1),
    ]
    on_mismatch: OnMismatch = "fail"
    long_text: Literal["fail", "cut"] = "fail"
