"""MongoDB values as text."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from bson import Code, Decimal128, ObjectId, json_util
from bson.datetime_ms import DatetimeMS

from exports.source.decimal128 import decimal_of
from exports.tables.plain import plain


def text_of(value: object, zone: ZoneInfo) -> str | None:
    """Return a value as text for people.

    Args:
        value: As pymongo decodes it.
        zone: Time zone that dates are shown in.

    Returns:
        None for null. A text as it is; numbers and booleans as `plain` writes them; a date in
        ISO 8601 with milliseconds and offset, or as its epoch milliseconds if it is outside of
        the years 1 to 9999. Everything else as extended JSON.
    """
    match value:
        case None:
            text = None
        case str() if not isinstance(value, Code):  # Code is a subclass of str
            text = value
        case bool() | int() | float() | Decimal():
            text = plain(value)
        case Decimal128():
            text = plain(decimal_of(value))
        case ObjectId():
            text = str(value)
        case DatetimeMS():
            text = str(int(value))
        case datetime():
            text = _date(value, zone)
        case _:
            text = json_of(value)
    return text


def json_of(value: object) -> str:
    """Return a value as relaxed extended JSON, which reads like ordinary JSON.

    See https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
    """
    return json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS, ensure_ascii=False)


def _date(value: datetime, zone: ZoneInfo) -> str:
    try:
        return value.astimezone(zone).isoformat(timespec="milliseconds")
    except OverflowError:
        # The date is in the years 1 to 9999 in UTC, but not in this zone.
        return value.isoformat(timespec="milliseconds")
