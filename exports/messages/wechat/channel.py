"""The channel `wechat`: subscription messages of a mini-program, one for each grant."""

import asyncio
import logging
from typing import Final

import httpx2
from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored
from exports.message_settings import MessageSettings
from exports.messages.channel import Address, Outcome, Verdict
from exports.messages.directory import Directory
from exports.messages.message import Message
from exports.messages.webhook.naming import with_host
from exports.messages.wechat.api import SENT, Answer, WechatApi
from exports.messages.wechat.grants import WechatGrants
from exports.messages.wechat.templates import filled, parse_templates
from exports.messages.wording import Language
from exports.reports.report import ReportCatalog

_ATTEMPT: Final = 13.0  # seconds, of the 15 that an attempt may take
_OWN: Final = "own"
_LANGUAGES: Final = {Language.ENGLISH: "en_US", Language.CHINESE: "zh_CN"}

_USED_UP: Final = 43101
_MAY_BE_USED: Final = frozenset({SENT, _USED_UP, None})
"""After any other answer, WeChat has not sent the message; an answer that can't be read may be of
one that it has sent."""
_REFUSED: Final = {
    40003: "WeChat does not know this openid.",
    40037: "WeChat does not know the template.",
    41030: "WeChat does not know the page of the mini-program.",
    47003: "WeChat refused a field of the template.",
}
_BUSY: Final = {
    -1: "WeChat is busy.",
    45009: "The quota of the mini-program is used up.",
    45011: "There are too many requests of the mini-program.",
}

_log = logging.getLogger("exports.messages.wechat")


class WechatChannel:
    """Sends subscription messages.

    Args:
        database: The tasks' database.
        settings: The mini-program and its templates.
        reports: The reports, which have titles.

    Raises:
        SettingsError: The templates are not as they should be.
    """

    name = "wechat"

    def __init__(
        self,
        database: AsyncDatabase[Stored],
        settings: MessageSettings,
        reports: ReportCatalog,
    ) -> None:
        self._settings = settings
        self._templates = parse_templates(settings.wechat_templates or "")
        self._reports = reports
        self._database = database
        self._directory = Directory(database, settings)
        self._grants = WechatGrants(database, self._templates)
        self._api = WechatApi(settings)

    async def addresses(self, uid: str, message: Message) -> list[Address]:
        """Return the openid of a person who has granted a message: see `Channel`."""
        template = self._templates.get(message.event)
        if template is None or not await self._grants.left(uid, template.template):
            return []
        openid = (await self._directory.find(uid)).openid
        return [] if openid is None else [Address(_OWN, "WeChat")]

    async def send(self, message: Message, address_id: str, *, delivery_id: str) -> Outcome:
        """Make one attempt: see `Channel`."""
        template = self._templates.get(message.event)
        person = await self._directory.find(message.created_by)
        if template is None or person.openid is None or address_id != _OWN:
            return Outcome(Verdict.REFUSED, "There is no openid or no template any more.")
        if not await self._grants.take(message.created_by, template.template, delivery_id):
            return Outcome(Verdict.REFUSED, "There is no grant for another message.")
        said = await with_host(message, self._database)
        data, page = filled(template, said, person.language, self._reports)
        body = {
            "touser": person.openid,
            "template_id": template.template,
            "data": data,
            "miniprogram_state": self._settings.wechat_version,
            "lang": _LANGUAGES[person.language],
        }
        try:
            async with asyncio.timeout(_ATTEMPT):
                answer = await self._api.send(body if page is None else {**body, "page": page})
        except (httpx2.HTTPError, TimeoutError) as error:
            _log.warning("WeChat can't be reached: %s", type(error).__name__)
            if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                await self._grants.give_back(delivery_id)
            return Outcome(Verdict.AGAIN, "WeChat can't be reached.")
        if answer.code not in _MAY_BE_USED:
            await self._grants.give_back(delivery_id)
        return _outcome(answer)


def _outcome(answer: Answer) -> Outcome:
    code = answer.code
    if code == SENT:
        verdict, reason = Verdict.DELIVERED, "WeChat took it."
    elif code == _USED_UP:
        verdict, reason = Verdict.REFUSED, "The person does not accept this message any more."
    elif code in _REFUSED:
        verdict, reason = Verdict.REFUSED, _REFUSED[code]
        _log.error("%s (%s): check EXPORTS_WECHAT_TEMPLATES and the openids", reason, code)
    elif code in _BUSY:
        verdict, reason = Verdict.AGAIN, _BUSY[code]
    elif code is None:
        verdict, reason = Verdict.AGAIN, "WeChat's answer can't be read."
        code = answer.status
    else:
        verdict, reason = Verdict.AGAIN, "WeChat refused the request of this service."
        _log.error(
            "%s (%s): check EXPORTS_WECHAT_APPID, EXPORTS_WECHAT_SECRET, and what WeChat allows "
            "this mini-program and this IP address",
            reason,
            code,
        )
    return Outcome(verdict, reason, code, answer.text)
