"""Webhooks: HTTPS POST of a batch, signed as Standard Webhooks asks (https://www.standardwebhooks.com).

`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; `webhook-id` and `idempotency-key` are made
of the events, so that the same batch has the same one however often it is sent. A redirection is not followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from appliance.host.reporter.senders import SendError
from appliance.host.reporter.senders.trust import context, secret, tls_failure
from appliance.report.ocsf import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.config.report import ToWebhook
    from appliance.report.event import About, Event

PATIENCE_S = 20.0
LONGEST_S = 3600.0  # that a destination may ask us to wait
_BYTES, _EVENT = 1 << 20, 256 << 10  # octets of a body, of one event
_ANSWER = 64 << 10
_AGAIN = {408, 425, 429}  # of the 4xx those that say: later
_OURS = {401, 403, 404, 405, 407, 410}  # of the 4xx those that are about us or the address, not about the event


class WebhookSender:
    """One address."""

    def __init__(self, target: ToWebhook) -> None:
        self.target, self.most = target, target.batch
        self.where = f"https://{target.host}:{target.port}"

    def hold(self, events: Sequence[Event], times: Sequence[int], now: int) -> float:
        """Never."""
        return 0.0

    def send(self, events: Sequence[Event], about: About, now: int) -> str:
        """Post them as one body. Raises SendError."""
        body = self.body(events, about)
        if len(body) > _BYTES and len(events) > 1:
            raise SendError("too much for one go", smaller=True)
        uids = "\n".join(about.uid(event) for event in events)
        headers = self.headers("msg_" + hashlib.sha256(uids.encode()).hexdigest()[:32], now // 10**9, body)
        connection = http.client.HTTPSConnection(
            self.target.host, self.target.port, timeout=PATIENCE_S, context=context(self.target.tls)
        )
        try:
            connection.request("POST", self.target.path, body, headers)
            answer = connection.getresponse()
            answer.read(_ANSWER)
        except OSError as error:
            raise tls_failure(self.where, error) from error
        except http.client.HTTPException as error:
            raise SendError(
                f"{self.where}: no HTTP answer that can be read ({type(error).__name__}); check the address"
            ) from error
        finally:
            connection.close()
        self._judge(answer, len(events), now)
        return f"taken by {self.where}, HTTP {answer.status}"

    def body(self, events: Sequence[Event], about: About) -> bytes:
        """What is posted: type, gateway and the OCSF events under `data`, in order."""
        data = ",".join(fitted(event, about, _EVENT) for event in events)
        return f'{{"type":"sekisho.incidents","gateway":"{about.gateway}","data":[{data}]}}'.encode("ascii")

    def headers(self, name: str, now_s: int, body: bytes) -> dict[str, str]:
        """Headers for a body; signed where there is a key. Raises SendError."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "sekisho",
            "Webhook-Id": name,
            "Webhook-Timestamp": str(now_s),
            "Idempotency-Key": name,
        }
        if self.target.secret:
            signed = f"{name}.{now_s}.".encode() + body
            digest = hmac.new(_key(secret(self.target.secret), self.target.secret), signed, "sha256").digest()
            headers["Webhook-Signature"] = "v1," + base64.b64encode(digest).decode("ascii")
        return headers

    def _judge(self, answer: http.client.HTTPResponse, count: int, now: int) -> None:
        status = answer.status
        if 200 <= status < 300:
            return
        said = f"{self.where}: HTTP {status}"
        if 300 <= status < 400:
            raise SendError(f"{said}: it points elsewhere; write that address into url")
        if status in _OURS:
            raise SendError(f"{said}; check url, secret_file and certificate")
        if 400 <= status < 500 and status not in _AGAIN:
            if count > 1:
                raise SendError(f"{said}: one of {count} events is not taken", smaller=True)
            raise SendError(f"{said}: the event is not taken", refused=True)
        raise SendError(f"{said}: try again later", after=_retry_after(answer.getheader("Retry-After"), now))

    def close(self) -> None:
        """Nothing stays open."""


def _key(held: bytes, path: str) -> bytes:
    """The key in a secret: what follows `whsec_` is base64, anything else is the key itself. Raises SendError."""
    if not held.startswith(b"whsec_"):
        return held
    try:
        return base64.b64decode(held[6:], validate=True)
    except binascii.Error as error:
        raise SendError(f"{path}: begins with whsec_, but what follows is no base64; copy it again") from error


def _retry_after(text: str | None, now: int) -> float | None:
    """Seconds to wait (RFC 9110 section 10.2.3: a number, or a date), at most LONGEST_S; None where it says nothing useful."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), LONGEST_S)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now * 1e-9), LONGEST_S)
    except (ValueError, TypeError, OverflowError):
        return None
