"""E-mail and WeChat with a real worker: from an export that is done to what arrives."""

import builtins
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.errors import SettingsError
from exports.messages.channels import open_channels
from exports.messages.deliveries import DeliveryStore
from exports.messages.delivery import DeliveryStatus
from exports.settings import Settings
from tests.support.leaks import CANARY
from tests.support.mail_server import mail_server
from tests.support.messages import reports
from tests.support.service import USER, insert_orders, open_service, working
from tests.support.wechat_stand_in import APPID, SECRET, TEMPLATE, wechat_stand_in

ADDRESS, OPENID = f"{CANARY}@example.com", f"o{CANARY}-openid"
TEMPLATES = {"export.done": {"template": TEMPLATE, "fields": {"thing1": "{period} {title}"}}}


async def test_a_person_is_told_of_an_export_by_e_mail_and_by_wechat(
    settings: Settings, temporal_address: str
) -> None:
    with wechat_stand_in() as wechat:
        async with mail_server() as mail, AsyncExitStack() as closing:
            configured = settings.model_copy(
                update={
                    "public_url": "https://exports.example.com",
                    "directory_collection": "people",
                    "smtp_host": "127.0.0.1",
                    "smtp_port": mail.port,
                    "smtp_tls": "none",
                    "mail_from": "exports@example.com",
                    "wechat_appid": APPID,
                    "wechat_secret": SecretStr(SECRET),
                    "wechat_base_url": wechat.url,
                    "wechat_templates": json.dumps(TEMPLATES),
                }
            )
            service = await closing.enter_async_context(open_service(configured, temporal_address))
            await insert_orders(service.database)
            await service.database["people"].insert_one(
                {"_id": USER, "email": ADDRESS, "openid": OPENID, "language": "zh-CN"}
            )
            wechat.granted[OPENID, TEMPLATE] = 1
            await service.client.grant_wechat(TEMPLATE, created_by=USER)
            channels = open_channels(configured, service.database, reports())
            async with working(service, channels=channels):
                task = await service.exported(notify=["email", "wechat"])
                await service.run_of(task.id).result()
                store = DeliveryStore(service.database)
                deliveries = await store.newest(created_by=USER, task_id=task.id, limit=10)
                assert {item.channel for item in deliveries} == {"email", "wechat"}
                for item in deliveries:
                    workflow = names.delivery_workflow_id(item.id)
                    await service.temporal.get_workflow_handle(workflow).result()
            for item in deliveries:
                ended = await store.get(item.id, created_by=USER)
                assert ended.status is DeliveryStatus.DELIVERED, ended
                assert len(ended.attempts) == 1
            [grant] = await service.client.wechat_grants(created_by=USER)
            assert grant.left == 0
    [(to, received)] = mail.received
    assert to == [ADDRESS]
    assert received["Subject"] == "您的导出已完成：月度统计 Monthly statistics, 2026-10"
    body = received.get_body(("html",))
    assert body is not None
    assert f'href="https://exports.example.com/exports/{task.id}/file"' in body.get_content()
    [message] = wechat.messages
    assert message["touser"] == OPENID
    assert message["data"] == {"thing1": {"value": "2026-10 月度统计 Monthly"}}


@pytest.mark.parametrize(("channel", "package"), [("email", "aiosmtplib"), ("wechat", "httpx2")])
async def test_a_channel_without_its_package_says_what_to_install(
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    channel: str,
    package: str,
) -> None:
    imported = builtins.__import__

    def missing(name: str, *args: Any, **given: Any) -> Any:
        if name == f"exports.messages.{channel}.channel":
            raise ModuleNotFoundError(name=package)
        return imported(name, *args, **given)

    monkeypatch.setattr(builtins, "__import__", missing)
    configured = {"email": {"smtp_host": "mail"}, "wechat": {"wechat_appid": "wx1"}}[channel]
    with pytest.raises(SettingsError, match=rf"{package}.*temporal-exports\[messages\]"):
        open_channels(settings.model_copy(update=configured), mongo_database, reports())


@pytest.mark.parametrize("public_url", [None, "https://exports.example.com"])
async def test_e_mail_asks_for_the_address_that_its_button_needs(
    settings: Settings,
    mongo_database: AsyncDatabase[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    public_url: str | None,
) -> None:
    configured = {"smtp_host": "mail", "mail_from": "a@example.com", "public_url": public_url}
    open_channels(settings.model_copy(update=configured), mongo_database, reports())
    assert ("EXPORTS_PUBLIC_URL" in caplog.text) is (public_url is None)
