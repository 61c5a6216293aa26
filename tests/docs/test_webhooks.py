"""The receivers that `docs/webhooks.md` shows take a message, once, and nothing that is forged."""

import asyncio
import sys
from pathlib import Path

import pytest

from dev import ports
from exports.clock import now_ms
from exports.messages.channel import Verdict
from exports.messages.message import Event, Message, Subject
from exports.messages.webhook.sending import Sender
from exports.messages.webhook.signature import content, headers, new_secret, written
from tests.support import pages, typescript
from tests.support.service import PATIENCE

_PAGE = pages.DOCS / "webhooks.md"
MESSAGE = Message(
    id="m",
    event=Event.TEST,
    at=0,
    created_by="u1",
    subject=Subject(id="wh_1", name="https://example.com/…", reason="钩"),
)


@pytest.mark.parametrize("language", ["Python", "TypeScript"])
async def test_the_receivers_of_the_page_take_messages_and_nothing_forged(
    tmp_path: Path, language: str
) -> None:
    section = pages.section(_PAGE, f"Receive in {language}")
    [code] = pages.blocks({"Python": "python", "TypeScript": "ts"}[language], section)
    program = tmp_path / ("receiver.py" if language == "Python" else "receiver.ts")
    port = ports.choose({"receiver": 0})["receiver"]
    program.write_text(code.replace("8080", str(port)), encoding="utf-8")
    runs = sys.executable
    if language == "TypeScript":
        typescript.prepare(tmp_path)
        runs = str(typescript.NODE)
    secret, body = new_secret(), content(MESSAGE)
    process = await asyncio.create_subprocess_exec(
        runs,
        program,
        env={"WEBHOOK_SECRET": written(secret)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    sender = Sender(loopback=True)

    async def send(*signing: bytes) -> int | None:
        signed = headers(body, delivery_id="d1", now_ms=now_ms(), signing=signing)
        outcome = await sender.post(f"http://127.0.0.1:{port}/", body, signed)
        assert (outcome.verdict is Verdict.DELIVERED) == (outcome.status == 204)
        return outcome.status

    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while await send(new_secret()) is None:
                await asyncio.sleep(0.05)
            assert await send(new_secret()) == 400
            assert await send(new_secret(), secret) == 204, "during a rotation"
            assert await send(secret) == 204
    finally:
        process.terminate()
        out, _ = await process.communicate()
    assert out.decode() == "webhook.test wh_1\n", "once"
