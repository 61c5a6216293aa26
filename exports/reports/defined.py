"""What all reports have in common that a table of the reports file defines."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from exports.reports.definition import Definition
from exports.reports.described import ParamDescription, shown
from exports.reports.filter import conditions
from exports.reports.fingerprint import of_definition
from exports.reports.params import (
    ReportParams,
    chosen,
    describe_columns,
    describe_own,
    validate,
    with_own,
)
from exports.reports.report import Report

DefinitionT = TypeVar("DefinitionT", bound=Definition)
ParamsT = TypeVar("ParamsT", bound=ReportParams)

_LONGEST_SUMMARY: Final = 200
"""Characters of what the summary says about the report's own parameters."""
_EXAMPLES: Final[dict[str, JsonValue]] = {
    "text": "abc",
    "integer": 1,
    "decimal": "9.95",
    "boolean": True,
    "date": "2026-10-31",
}


class DefinedReport(Report, Generic[DefinitionT, ParamsT]):
    """A report that is defined in TOML.

    Args:
        name: Its name.
        definition: What the reports file says.
        params: The model of the parameters that all reports of its kind have.
        columns: The names of its columns.

    Attributes:
        definition: What the reports file says.
    """

    def __init__(
        self, name: str, definition: DefinitionT, params: type[ParamsT], columns: Sequence[str]
    ) -> None:
        super().__init__(name, definition.title)
        self.file_name = definition.file_name or self.title
        self.definition = definition
        self.timezone = definition.timezone
        self.max_rows = definition.max_rows
        self.about = definition.about
        self.consistency = definition.consistency
        self.per_person = definition.owner_field is not None
        self.quota_open, self.quota_per_day = definition.quota.open, definition.quota.per_day
        self._zone = ZoneInfo(definition.timezone)
        self._params = with_own(params, definition.params)
        self._names = list(columns)

    @cached_property
    def fingerprint(self) -> str:
        """See `Report.fingerprint`."""
        return of_definition(self.type, self.definition)

    def check_params(self, params: object) -> dict[str, JsonValue]:
        """See `Report.check_params`."""
        checked = validate(self._params, params, report=self.type)
        chosen(checked.columns, self._names)
        return checked.model_dump(mode="json", by_alias=True, exclude_none=True)

    def describe_params(self) -> list[ParamDescription]:
        """See `Report.describe_params`."""
        own = describe_own(self.definition.params)
        return [*self._period_params(), *own, describe_columns(self._names)]

    def example_params(self) -> dict[str, JsonValue]:
        """See `Report.example_params`."""
        examples = self._example_period()
        for name, param in self.definition.params.items():
            if param.required:
                one = param.choices[0] if param.choices else _EXAMPLES[param.type]
                examples[name] = [one] if param.many else one
        return examples

    def summary(self, params: dict[str, JsonValue]) -> str:
        """See `Report.summary`: `statsMonthly 2026-10 · region: north, south`."""
        own = "; ".join(
            f"{param.title or name}: {shown(params[name])}"
            for name, param in self.definition.params.items()
            if name in params
        )
        short = own if len(own) <= _LONGEST_SUMMARY else f"{own[:_LONGEST_SUMMARY]}…"
        return " · ".join(filter(None, (super().summary(params), short)))

    def narrow_by(self) -> list[str]:
        """See `Report.narrow_by`."""
        return [*super().narrow_by(), *(f"the parameter {name}" for name in self.definition.params)]

    def _conditions(self, params: dict[str, JsonValue]) -> list[dict[str, Any]]:
        """Return the filters of the report's own parameters; they are checked again."""
        return conditions(self.definition, self.check_params(params))

    @abstractmethod
    def _period_params(self) -> list[ParamDescription]:
        """Describe the parameters that say which period it is."""

    @abstractmethod
    def _example_period(self) -> dict[str, JsonValue]:
        """Return valid values of these."""
