"""The settings of messages: of e-mail, of WeChat, and of the directory of people."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, SecretStr, model_validator

from exports.environment import EnvironmentSettings
from exports.mail_addresses import parse_sender

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_MAX_PORT: Final = 65_535


def _sender(value: str) -> str:
    if parse_sender(value) is None:
        raise ValueError(
            "must be an e-mail address, exports@example.com or Exports <exports@example.com>"
        )
    return value


def _base_url(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return value.rstrip("/")


class MessageSettings(EnvironmentSettings):
    """Settings of messages, a part of `Settings`."""

    message_language: Literal["en", "zh"] = Field(
        default="en",
        description="Language of messages to people whose language is not known: `en` or `zh`",
    )
    smtp_host: str | None = Field(
        default=None, description="Server that sends e-mail. Default: no e-mail is sent"
    )
    smtp_port: Annotated[int, Ge(1), Le(_MAX_PORT)] | None = Field(
        default=None, description="Its port. Default: 587 for `starttls`, 465 for `tls`, else 25"
    )
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection to it is encrypted: `starttls`, `tls` from the beginning, "
        "or `none`",
    )
    smtp_user: str | None = Field(default=None, description="User to log in as. Default: no login")
    smtp_password: SecretStr | None = Field(default=None, description="Password of that user")
    smtp_ca_bundle: Path | None = Field(
        default=None,
        description="Certificates (PEM) to trust for that server. Default: the machine's",
    )
    mail_from: Annotated[str, AfterValidator(_sender)] | None = Field(
        default=None,
        description="Who e-mail is from: `exports@example.com` or `Exports <exports@example.com>`",
    )
    wechat_appid: str | None = Field(
        default=None,
        description="AppID of the mini-program. Default: no WeChat messages are sent",
    )
    wechat_secret: SecretStr | None = Field(
        default=None, description="AppSecret of the mini-program"
    )
    wechat_base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://api.weixin.qq.com", description="Address of WeChat's API"
    )
    wechat_templates: str | None = Field(
        default=None,
        description="The templates of subscription messages and their fields, as JSON: see "
        "[templates](wechat.md#templates)",
    )
    wechat_version: Literal["formal", "trial", "developer"] = Field(
        default="formal",
        description="Version of the mini-program that a message opens: `formal`, `trial` or "
        "`developer`",
    )
    directory_collection: str | None = Field(
        default=None,
        min_length=1,
        description="Collection, in the tasks' database, that says how people can be reached. "
        "Default: there is none",
    )
    directory_uid_field: str = Field(
        default="_id", min_length=1, description="Its field with the name of a person"
    )
    directory_email_field: str = Field(
        default="email", min_length=1, description="Its field with the e-mail address"
    )
    directory_language_field: str = Field(
        default="language", min_length=1, description="Its field with the language: `en` or `zh-CN`"
    )
    directory_openid_field: str = Field(
        default="openid", min_length=1, description="Its field with WeChat's openid"
    )

    @model_validator(mode="after")
    def _check_messages(self) -> Self:
        if self.smtp_host is not None and self.mail_from is None:
            raise ValueError("EXPORTS_MAIL_FROM must be set for e-mail")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("EXPORTS_SMTP_USER and EXPORTS_SMTP_PASSWORD must be set together")
        if self.smtp_password is not None and self.smtp_tls == "none":
            raise ValueError("EXPORTS_SMTP_PASSWORD must not be sent without TLS")
        if self.wechat_appid is not None and not (self.wechat_secret and self.wechat_templates):
            raise ValueError(
                "EXPORTS_WECHAT_SECRET and EXPORTS_WECHAT_TEMPLATES must be set for WeChat"
            )
        return self

    @property
    def port_of_smtp(self) -> int:
        """The port of the server that sends e-mail."""
        return self.smtp_port or _PORTS[self.smtp_tls]
