"""How a program logs: a setting that every program reads first, by itself."""

from typing import Literal

from pydantic import Field

from exports.environment import EnvironmentSettings


class LogSettings(EnvironmentSettings):
    """How a program logs."""

    log_format: Literal["text", "json"] = Field(
        default="text",
        description="`json`: each line of the log of a program is a JSON object",
    )
