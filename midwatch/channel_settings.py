"""Settings of the channels in which people are told and asked: a part of :class:`midwatch.settings.Settings`."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import NoDecode

from midwatch.setting_names import also_plain

CHANNELS = ("console", "slack", "telegram", "webhook")


class ChannelSettings(BaseModel):
    """Which channels there are, and what each needs."""

    channels: Annotated[tuple[str, ...], NoDecode] = ()
    """Where people are told and asked: ``console``, ``slack``, ``telegram``, ``webhook``; empty: the console, and every
    channel that a token and a place (or an address) are set for."""
    channel_user_per_minute: int = Field(30, ge=1, le=100_000)
    """Messages and clicks that one person of a channel may send in a minute; what is beyond that is refused."""
    public_url: str = ""
    """Where people reach the console; cards link to it. Empty: no link."""
    slack_bot_token: SecretStr | None = Field(None, validation_alias=also_plain("SLACK_BOT_TOKEN"))
    """``xoxb-…``, of the app that ``cluster_config/slack/manifest.yaml`` makes."""
    slack_signing_secret: SecretStr | None = Field(None, validation_alias=also_plain("SLACK_SIGNING_SECRET"))
    """Proves requests to ``/api/webhook/slack``; unset: that address takes none."""
    slack_app_token: SecretStr | None = Field(None, validation_alias=also_plain("SLACK_APP_TOKEN"))
    """``xapp-…``; set: requests are fetched by Socket Mode, and nobody need reach this machine."""
    slack_channel: str = Field("", pattern=r"^([CGD][A-Z0-9]{2,})?$")
    """Id of the channel that cards go to (``C0123ABCD``), the one place beside a direct message where answers count."""
    slack_api_url: str = "https://slack.com/api/"
    """The Web API; another one for GovSlack."""
    telegram_bot_token: SecretStr | None = Field(None, validation_alias=also_plain("TELEGRAM_BOT_TOKEN"))
    """``123456:ABC…``, as BotFather gives it."""
    telegram_chat: str = Field("", pattern=r"^(-?\d+)?$")
    """Id of the chat that cards go to; a group's begins with a minus sign."""
    telegram_secret: SecretStr | None = Field(None, validation_alias=also_plain("TELEGRAM_SECRET"))
    """Proves updates to ``/api/webhook/telegram`` (letters, digits, ``_`` and ``-``); needed with the address below."""
    telegram_webhook_url: str = ""
    """Where Telegram reaches ``/api/webhook/telegram`` (https); empty: updates are fetched by long polling."""
    telegram_api_url: str = "https://api.telegram.org"
    webhook_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Addresses that are told every change of an incident, comma-separated."""
    webhook_secret: SecretStr | None = None
    """Signs what is sent there."""

    def check_channels(self) -> None:
        """Raises ``ValueError`` where a channel is asked for that is unknown or lacks something."""
        if unknown := set(self.channels) - set(CHANNELS):
            raise ValueError(
                f"MIDWATCH_CHANNELS: there is no {', '.join(sorted(unknown))}; choose of {', '.join(CHANNELS)}"
            )
        wanted = {
            "slack": (self.slack_bot_token and self.slack_channel, "SLACK_BOT_TOKEN and MIDWATCH_SLACK_CHANNEL"),
            "telegram": (
                self.telegram_bot_token and self.telegram_chat,
                "TELEGRAM_BOT_TOKEN and MIDWATCH_TELEGRAM_CHAT",
            ),
            "webhook": (
                self.webhook_urls and self.webhook_secret,
                "MIDWATCH_WEBHOOK_URLS and MIDWATCH_WEBHOOK_SECRET",
            ),
        }
        for channel, (there, names) in wanted.items():
            if channel in self.active_channels and not there:
                raise ValueError(f"the channel {channel} needs {names}: see docs/{channel.replace('ook', 'ooks')}.md")
        if self.telegram_webhook_url and not self.telegram_secret:
            raise ValueError("MIDWATCH_TELEGRAM_WEBHOOK_URL needs TELEGRAM_SECRET: without it anybody could post there")

    @property
    def active_channels(self) -> tuple[str, ...]:
        """Where people are told and asked, the console always among them."""
        set_up = {
            "slack": self.slack_bot_token and self.slack_channel,
            "telegram": self.telegram_bot_token and self.telegram_chat,
            "webhook": self.webhook_urls,
        }
        chosen = self.channels or tuple(channel for channel, there in set_up.items() if there)
        return ("console", *dict.fromkeys(channel for channel in chosen if channel != "console"))
