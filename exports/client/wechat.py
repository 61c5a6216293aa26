"""WeChat messages that people have granted."""

from collections.abc import Sequence
from functools import cached_property

from exports import names
from exports.client.part import ClientPart
from exports.messages.wechat.grants import WechatGrant, WechatGrants
from exports.messages.wechat.templates import parse_templates


class GrantingWechat(ClientPart):
    """Counts the WeChat messages that people have granted."""

    async def wechat_grants(self, *, created_by: str) -> Sequence[WechatGrant]:
        """Return how many messages of each template a person has granted.

        Args:
            created_by: The person.

        Raises:
            SettingsError: The templates in the settings are not as they should be.
        """
        return await self._wechat.of(created_by)

    async def grant_wechat(
        self, template_id: str, *, created_by: str, idempotency_key: str | None = None
    ) -> WechatGrant:
        """Count one more message that a person has granted: `wx.requestSubscribeMessage`.

        No more than 100 unused ones of a template are kept.

        Args:
            template_id: The template; one of those that `wechat_grants` returns.
            created_by: The person.
            idempotency_key: Makes it safe to repeat the call: the same key counts once.

        Raises:
            ChannelError: There is no such template.
            RequestError: The key is empty or too long, or the name is not valid.
            SettingsError: The templates in the settings are not as they should be.
        """
        uid = names.check_uid(created_by)
        return await self._wechat.add(uid, template_id, key=idempotency_key)

    @cached_property
    def _wechat(self) -> WechatGrants:
        text = self._settings.wechat_templates if self._settings.wechat_appid else None
        return WechatGrants(self._database, parse_templates(text or "{}"))
