"""Columns as people and programs are told of them; imports nothing that loads slowly."""

from pydantic import BaseModel, ConfigDict


class ColumnDescription(BaseModel):
    """A column for people and programs that show a file.

    Attributes:
        name: Its name in the report's definition.
        title: Its heading in the file.
        type: The type of its values: `text`, `integer`, `number`, `decimal`, `boolean`, `date`,
            `month`, `datetime`, `id` or `json`; `any` if only the rows can tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    type: str
