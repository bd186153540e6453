"""Mail over SMTP with STARTTLS or TLS: a digest of what came in the meantime, at most so many an hour.

A flood is one mail: the first event waits a little for others, and when the hour's mails are used up, all waits for the next.
"""

from __future__ import annotations

import base64
import hashlib
import smtplib
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import TYPE_CHECKING

from appliance.host.reporter.senders import SendError
from appliance.host.reporter.senders.trust import context, secret, tls_failure
from appliance.report.digest import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.config.report import ToMail
    from appliance.report.event import About, Event

PATIENCE_S = 30.0
HOUR = 3600 * 10**9  # ns


class MailSender:
    """One mail server and its recipients."""

    most = 2000  # a flood is one mail

    def __init__(self, target: ToMail) -> None:
        self.target = target
        self.where = f"{target.host}:{target.port}"

    def hold(self, events: Sequence[Event], times: Sequence[int], now: int) -> float:
        """Until the oldest event has waited for company, and until the hour allows another mail."""
        waited = (now - min(event.logged for event in events)) * 1e-9
        company = self.target.gather_s - waited if waited >= 0 else 0.0  # the clock was set back: nothing is held up by it
        recent = [time for time in times if 0 <= now - time < HOUR]
        allowed = (recent[-self.target.per_hour] + HOUR - now) * 1e-9 if len(recent) >= self.target.per_hour else 0.0
        return max(0.0, company, allowed)

    def send(self, events: Sequence[Event], about: About, now: int) -> str:
        """One mail with all of them. Raises SendError."""
        mail = self.mail(events, about, now)
        try:
            with self._connect() as server:
                if self.target.user:
                    self._log_in(server)
                refused = server.send_message(mail, self.target.sender, list(self.target.to))
        except smtplib.SMTPException as error:
            raise self._failed(error) from error
        except OSError as error:
            raise tls_failure(self.where, error) from error
        if refused:
            return f"taken by {self.where}, but not for {', '.join(sorted(refused))}"
        return f"taken by {self.where}"

    def _connect(self) -> smtplib.SMTP:
        tls, target = context(self.target.tls), self.target
        if target.security == "tls":
            return smtplib.SMTP_SSL(target.host, target.port, timeout=PATIENCE_S, context=tls)
        server = smtplib.SMTP(target.host, target.port, timeout=PATIENCE_S)
        try:
            server.starttls(context=tls)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        """AUTH PLAIN in UTF-8 (RFC 4616); smtplib's own takes ASCII only, and is used where the server offers nothing better."""
        password = secret(self.target.password)
        server.ehlo_or_helo_if_needed()
        if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
            server.login(self.target.user, password.decode("ascii", "replace").replace("\ufffd", "?"))
            return
        words = base64.b64encode(b"\0" + self.target.user.encode() + b"\0" + password).decode("ascii")
        code, said = server.docmd("AUTH", f"PLAIN {words}")
        if code not in (235, 503):
            raise smtplib.SMTPAuthenticationError(code, said)

    def _failed(self, error: smtplib.SMTPException) -> SendError:
        """What the server said, without what we said to it."""
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return SendError(f"{self.where}: does not take user and password; check user and password_file")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return SendError(f"{self.where}: offers no STARTTLS or no login; check port and security")
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return SendError(f"{self.where}: takes mail for none of the recipients; check `to` and the server's rules")
        if isinstance(error, smtplib.SMTPResponseException):
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
            return SendError(f"{self.where}: refused the mail ({error.smtp_code} {' '.join(said.split())[:120]})")
        return SendError(f"{self.where}: mail failed ({type(error).__name__}); check server and port")

    def mail(self, events: Sequence[Event], about: About, now: int) -> EmailMessage:
        """The mail; its Message-ID is made of the events, the same however often it is sent."""
        subject, text = digest(events, about)
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = subject
        mail["From"] = self.target.sender
        mail["To"] = ", ".join(self.target.to)
        mail["Date"] = formatdate(now * 1e-9)
        uids = "\n".join(about.uid(event) for event in events)
        mail["Message-ID"] = f"<{hashlib.sha256(uids.encode()).hexdigest()[:32]}@{self.target.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer from a robot
        mail.set_content(text, charset="utf-8")
        return mail

    def close(self) -> None:
        """Nothing stays open."""
