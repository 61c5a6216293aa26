"""The log: lines for people, or JSON that every program can read, whoever has logged them."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from exports.errors import StoreUnavailableError
from exports.runtime.logs import with_fields
from tests.support.logs import logged
from tests.support.worker_process import ended_by_itself


def _log_everything() -> None:
    foreign = logging.getLogger("foreign")
    foreign.info("Started server process [%d]\nsecond line", 7)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        foreign.exception("Exception in ASGI application\n")
    foreign.error("A step failed", exc_info=StoreUnavailableError("The store is away."))
    foreign.warning("an object: %s", object(), extra={"secret": "c4n4ry"})
    foreign.info("Ended", extra=with_fields(outcome="done", code=None, name='a "b"\n'))


def test_every_line_of_json_is_valid_whoever_has_logged_it() -> None:
    with logged("json") as lines:
        _log_everything()
    server, trace, known, odd, own = map(json.loads, lines())
    assert server["message"] == "Started server process [7]\nsecond line"
    assert server.keys() == {"time", "level", "logger", "message"}
    assert (server["level"], server["logger"]) == ("INFO", "foreign")
    assert trace["exception"].startswith("Traceback (most recent call last):\n")
    assert trace["exception"].endswith("ZeroDivisionError: division by zero")
    assert known["message"] == "A step failed: E_STORE: The store is away."
    assert "exception" not in known
    assert odd["message"].startswith("an object: <object")
    assert "secret" not in odd
    assert (own["outcome"], own["name"], "code" in own) == ("done", 'a "b"\n', False)


def test_a_line_of_text_ends_with_its_fields() -> None:
    with logged("text") as lines:
        _log_everything()
    assert lines()[-1].endswith(' INFO foreign: Ended outcome=done name="a \\"b\\"\\n"')


async def test_a_worker_that_can_not_start_says_so_in_its_format(tmp_path: Path) -> None:
    wrong = {"EXPORTS_LOG_FORMAT": "json", "EXPORTS_MONGO_URI": "x", "EXPORTS_S3_BUCKET": "b"}
    ended = await ended_by_itself(wrong | {"EXPORTS_URL_TTL": "no time"}, tmp_path)
    assert ended.code == 2
    [line] = map(json.loads, ended.lines)
    assert line["message"].startswith("E_SETTINGS: Settings are wrong: EXPORTS_URL_TTL: ")
    ended = await ended_by_itself({"EXPORTS_LOG_FORMAT": "xml"}, tmp_path)
    assert ended.lines == [
        "E_SETTINGS: Settings are wrong: EXPORTS_LOG_FORMAT: must be 'text' or 'json'."
    ]


def test_what_nobody_has_caught_is_a_line_of_json_too() -> None:
    program = """
import threading, warnings
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
configure_logging(LogSettings(log_format="json"))
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
warnings.warn("old", UserWarning)
raise KeyError("k")
"""
    done = subprocess.run(  # noqa: S603 -- our own code
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    thread, warning, main = map(json.loads, done.stderr.splitlines())
    assert "ZeroDivisionError" in thread["exception"]
    assert (warning["logger"], main["level"]) == ("py.warnings", "CRITICAL")
    assert main["exception"].endswith("KeyError: 'k'")
    assert done.returncode == 1
