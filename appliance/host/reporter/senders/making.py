"""A sender for a destination of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config.report import ToFile, ToMail, ToSyslog
from appliance.host.reporter.senders.file import FileSender
from appliance.host.reporter.senders.mail import MailSender
from appliance.host.reporter.senders.syslog import SyslogSender
from appliance.host.reporter.senders.webhook import WebhookSender

if TYPE_CHECKING:
    from appliance.config.report import Target
    from appliance.host.reporter.senders import Sender


def sender_for(target: Target) -> Sender:
    """The sender; it opens nothing before it is asked to send."""
    if isinstance(target, ToFile):
        return FileSender(target)
    if isinstance(target, ToSyslog):
        return SyslogSender(target)
    if isinstance(target, ToMail):
        return MailSender(target)
    return WebhookSender(target)
