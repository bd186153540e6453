"""Syslog over TLS (RFC 5425): one connection that stays, messages framed by their length.

Syslog answers nothing, so what arrived is judged by the connection: events count as delivered when the peer's kernel has
acknowledged every octet and the connection then lived on for `SETTLE_S`. A receiver that died with them in its buffers, or that
refused our certificate (TLS 1.3 tells that after the handshake), has closed it by then, and they are sent again.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from typing import TYPE_CHECKING

from appliance.host.reporter.senders import SendError
from appliance.host.reporter.senders.trust import context, tls_failure
from appliance.report.syslog import framed, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.config.report import ToSyslog
    from appliance.report.event import About, Event

CONNECT_S, SEND_S, SETTLE_S = 10.0, 30.0, 1.0
_BYTES = 4 << 20  # of one batch


class SyslogSender:
    """One receiver."""

    most = 500

    def __init__(self, target: ToSyslog) -> None:
        self.target = target
        self.where = f"{target.host}:{target.port}"
        self._channel: ssl.SSLSocket | None = None

    def hold(self, events: Sequence[Event], times: Sequence[int], now: int) -> float:
        """Never."""
        return 0.0

    def send(self, events: Sequence[Event], about: About, now: int) -> str:
        """Send, and see that the connection lives on. Raises SendError."""
        octets = b"".join(framed(message(event, about, self.target.form, self.target.max_bytes)) for event in events)
        if len(octets) > _BYTES and len(events) > 1:
            raise SendError("too much for one go", smaller=True)
        try:
            channel = self._channel or self._connect()
            self._look(channel)
            channel.settimeout(SEND_S)
            channel.sendall(octets)
            self._settle(channel)
        except OSError as error:
            self.close()
            raise tls_failure(self.where, error) from error
        except SendError:
            self.close()
            raise
        return f"taken by {self.where}, {channel.version()}"

    def _connect(self) -> ssl.SSLSocket:
        tls = context(self.target.tls)
        plain = socket.create_connection((self.target.host, self.target.port), timeout=CONNECT_S)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(SEND_S * 1000))
            self._channel = tls.wrap_socket(plain, server_hostname=self.target.tls.name or self.target.host)
        except BaseException:
            plain.close()
            raise
        return self._channel

    def _look(self, channel: ssl.SSLSocket) -> None:
        """See whether the peer went away. It has nothing to say but TLS's own messages; whatever it says is left alone."""
        channel.setblocking(False)
        try:
            if not channel.recv(4096):
                raise SendError(f"{self.where}: closed the connection; see its log, it may not take our certificate")
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def _settle(self, channel: ssl.SSLSocket) -> None:
        """Until all octets are acknowledged, and then a while: the connection must live on."""
        start = time.monotonic()
        settled: float | None = None
        while True:
            now = time.monotonic()
            if settled is None and not _unacknowledged(channel):
                settled = now
            if settled is not None and now - settled >= SETTLE_S:
                return
            if now - start > SEND_S:
                raise SendError(f"{self.where}: does not take what is sent; check the receiver and the network")
            if select.select([channel], [], [], 0.05)[0]:
                self._look(channel)

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _unacknowledged(channel: ssl.SSLSocket) -> int:
    """Octets that the peer's kernel has not acknowledged (tcp(7), SIOCOUTQ)."""
    answer = fcntl.ioctl(channel.fileno(), termios.TIOCOUTQ, struct.pack("=i", 0))
    return int(struct.unpack("=i", answer)[0])
