"""When a recurring export is due is said in a few words, or as a cron expression."""

import pytest

from exports.errors import RequestError
from exports.recurring.when import When


def _when(
    on: str | None = None, at: str | None = None, cron: str | None = None, zone: str = "UTC"
) -> When:
    return When.checked(on=on, at=at, cron=cron, timezone=zone)


@pytest.mark.parametrize(
    ("on", "fields"),
    [
        ("day", {}),
        ("Monday", {"day_of_week": 1}),
        ("sunday", {"day_of_week": 0}),
        ("1st", {"day_of_month": 1}),
        ("11th", {"day_of_month": 11}),
        ("23rd", {"day_of_month": 23}),
        ("28th", {"day_of_month": 28}),
        ("1st january", {"day_of_month": 1, "month": 1}),
        ("31st December", {"day_of_month": 31, "month": 12}),
    ],
)
def test_days_are_said_in_words(on: str, fields: dict[str, int]) -> None:
    [calendar] = _when(on, "07:30", zone="Asia/Shanghai").spec().calendars
    wanted = {"hour": 7, "minute": 30, **fields}
    for name, number in wanted.items():
        assert [part.start for part in getattr(calendar, name)] == [number]
    assert len(calendar.day_of_month) == 1 or calendar.day_of_month[0].end == 31
    assert _when(on).at == "08:00"


def test_a_cron_expression_is_handed_on_to_temporal() -> None:
    spec = _when(cron="0 */40 1,15 * MON-FRI", zone="Europe/Berlin").spec()
    assert list(spec.cron_expressions) == ["0 */40 1,15 * MON-FRI"]
    assert spec.time_zone_name == "Europe/Berlin"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "in one of two ways"),
        ({"on": "day", "cron": "0 8 * * *"}, "in one of two ways"),
        ({"on": "yesterday"}, "The days must be: day, monday to sunday"),
        ({"on": "1st smarch"}, "The days must be"),
        ({"on": "29th"}, "from 1st to 28th"),
        ({"on": "29th february"}, "from 1st to 28th"),
        ({"on": "0th"}, "from 1st to 28th"),
        ({"on": "31st april"}, "from 1st to 30th"),
        ({"on": "32nd may"}, "from 1st to 31st"),
        ({"on": "1th"}, "written 1st"),
        ({"on": "01st"}, "written 1st"),
        ({"on": "11st"}, "written 11th"),
        ({"on": "22st may"}, "written 22nd"),
        ({"on": "day", "at": "24:00"}, "from 00:00 to 23:59"),
        ({"on": "day", "at": "8:00"}, "from 00:00 to 23:59"),
        ({"cron": "0 8 1 * *", "at": "08:00"}, "leave out at"),
        ({"cron": "* * * * *"}, "at most once an hour"),
        ({"cron": "*/5 * * * *"}, "at most once an hour"),
        ({"cron": "61 8 1 * *"}, "minute of a cron expression is 0 to 59"),
        ({"cron": "0 8-24 1 * *"}, "hour of a cron expression is 0 to 23"),
        ({"cron": "0 8 1,32 * *"}, "day of the month of a cron expression is 1 to 31"),
        ({"cron": "0 8 1 0/6 *"}, "month of a cron expression is 1 to 12"),
        ({"cron": "0 8 * * 8"}, "weekday of a cron expression is 0 to 7"),
        ({"cron": "0 8 1 *"}, "five fields"),
        ({"cron": "0 0 8 1 * *"}, "five fields"),
        ({"cron": "CRON_TZ=UTC 0 8 1 *"}, "five fields"),
        ({"cron": "@every 1s"}, "five fields"),
        ({"on": "day", "zone": "Mars/Olympus"}, "a name such as Asia/Shanghai"),
        ({"on": "day", "zone": "Factory"}, "a name such as Asia/Shanghai"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_would_be(
    given: dict[str, str], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        _when(**given)
