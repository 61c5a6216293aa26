"""The templates of subscription messages, from the settings, and what goes into their fields.

WeChat reviews each template. The name of a field begins with its type (`thing1`, `time2`), and a
value that does not fit the type is refused (47003). The types are those of
https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from string import Formatter
from typing import Annotated, Final
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from exports.errors import SettingsError, explain
from exports.messages.message import Event, Message
from exports.messages.wording import HEADLINES, Language, Said, said
from exports.reports.report import ReportCatalog

_ZERO_WIDTH_JOINER: Final = "\u200d"
_SKIN_TONES: Final = ("\U0001f3fb", "\U0001f3ff")
_FLAG_LETTERS: Final = ("\U0001f1e6", "\U0001f1ff")
_BEYOND_16_BITS: Final = 0xFFFF
_CHINESE: Final = re.compile(r"[^\u4e00-\u9fff]")
_NOT_A_NUMBER: Final = re.compile(r"[^0-9.]")
_NOT_ASCII: Final = re.compile(r"[^!-~]")

_FITTED: Final[Mapping[str, Callable[[str], str]]] = {
    "thing": lambda text: cut(text, 20) or "-",
    "character_string": lambda text: _NOT_ASCII.sub("", text)[:32] or "-",
    "number": lambda text: _NOT_A_NUMBER.sub("", text)[:32] or "0",
    "phrase": lambda text: _CHINESE.sub("", text)[:5] or "无",
    "time": lambda text: text,
    "date": lambda text: text,
}
"""What is made of a text, by the type of its field."""
_FIELD: Final = re.compile(rf"(?P<kind>{'|'.join(_FITTED)})\d{{1,3}}")
_PHRASE: Final = "phrase"


def _field(name: str) -> str:
    if not _FIELD.fullmatch(name):
        raise ValueError(f"a field is one of {', '.join(_FITTED)}, and a number: thing1")
    return name


def _text(value: str) -> str:
    try:
        named = [part[1:] for part in Formatter().parse(value) if part[1] is not None]
    except ValueError:
        raise ValueError("has a brace without its other half") from None
    for name, spec, conversion in named:
        if name not in Said._fields or spec or conversion:
            raise ValueError(f"only these can be in braces: {', '.join(Said._fields)}")
    return value


_Text = Annotated[str, AfterValidator(_text)]


class WechatTemplate(BaseModel):
    """A template, and what goes into its fields.

    Attributes:
        template: Its id.
        page: The page of the mini-program that a message opens; None for none.
        fields: The text of each field, with the facts of `Said` in braces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    template: str = Field(min_length=1, max_length=200)
    page: _Text | None = None
    fields: dict[Annotated[str, AfterValidator(_field)], _Text] = Field(min_length=1)

    def opened_page(self, facts: Said) -> str | None:
        """Return the page of a message: the facts in it are percent-encoded."""
        if self.page is None:
            return None
        return self.page.format(**{name: quote(text) for name, text in facts._asdict().items()})


Templates = Mapping[Event, WechatTemplate]
"""The template of each event; there is no message of the other events."""
_TEMPLATES: Final = TypeAdapter(dict[Event, WechatTemplate])


def parse_templates(text: str) -> Templates:
    """Read the setting `EXPORTS_WECHAT_TEMPLATES`.

    Raises:
        SettingsError: It is not as it should be; says where.
    """
    try:
        found = _TEMPLATES.validate_python(json.loads(text))
    except ValidationError as error:
        raise SettingsError(f"EXPORTS_WECHAT_TEMPLATES: {explain(error)}.") from None
    except (ValueError, RecursionError):
        raise SettingsError("EXPORTS_WECHAT_TEMPLATES must be JSON.") from None
    if Event.TEST in found:
        raise SettingsError("EXPORTS_WECHAT_TEMPLATES: webhook.test is not sent by WeChat.")
    return found


def filled(
    template: WechatTemplate, message: Message, language: Language, reports: ReportCatalog
) -> tuple[dict[str, dict[str, str]], str | None]:
    """Return the fields of a message, as WeChat takes them, and the page that it opens."""
    facts = said(message, language, reports, _time)
    chinese = facts._replace(status=HEADLINES[Language.CHINESE][message.event].status)
    data: dict[str, dict[str, str]] = {}
    for name, text in template.fields.items():
        kind = name.rstrip("0123456789")
        known = chinese if kind == _PHRASE else facts
        data[name] = {"value": _FITTED[kind](text.format(**known._asdict()))}
    return data, template.opened_page(facts)


def _time(at: datetime) -> str:
    return f"{at.year}年{at.month}月{at.day}日 {at:%H:%M}"


def cut(text: str, longest: int) -> str:
    """Return the beginning of a text, without cutting a character into pieces.

    Args:
        text: The text.
        longest: The largest number of characters, as JavaScript counts them: an emoji may be two.
    """
    kept = ""
    for character in _characters(text):
        longest -= sum(2 if ord(code) > _BEYOND_16_BITS else 1 for code in character)
        if longest < 0:
            break
        kept += character
    return kept.rstrip()


def _characters(text: str) -> Iterator[str]:
    """Yield what people see as one character: a letter with accents, an emoji with parts."""
    character = ""
    for code in text:
        if character and not _belongs_to(character, code):
            yield character
            character = ""
        character += code
    if character:
        yield character


def _belongs_to(character: str, code: str) -> bool:
    return (
        unicodedata.category(code)[0] == "M"
        or code == _ZERO_WIDTH_JOINER
        or character[-1] == _ZERO_WIDTH_JOINER
        or _SKIN_TONES[0] <= code <= _SKIN_TONES[1]
        or (len(character) == 1 and _is_flag_letter(character) and _is_flag_letter(code))
    )


def _is_flag_letter(code: str) -> bool:
    return _FLAG_LETTERS[0] <= code <= _FLAG_LETTERS[1]
