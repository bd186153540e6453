"""Real receivers on loopback, each a process or a thread of its own: rsyslogd over TLS, an HTTPS server, an SMTP server."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiosmtpd.smtp import Envelope, Session

    from tests.unit.certificates import Pair

RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/bin") or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


class Rsyslogd:
    """A receiver as an operator sets it up: imtcp over TLS, what comes goes to a file as it came."""

    def __init__(self, folder: Path, pair: Pair, authority: Path, *, driver: str = "ossl", mode: str = "anon") -> None:
        self.port, self.file, self.folder = free_port(), folder / "received", folder
        self._pid = folder / "rsyslogd.pid"
        self._config = folder / "rsyslog.conf"
        self._config.write_text(
            f"""
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="{driver}" defaultNetstreamDriverCAFile="{authority}"
       defaultNetstreamDriverCertFile="{pair.certificate}" defaultNetstreamDriverKeyFile="{pair.key}")
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="{mode}")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{self.port}" address="127.0.0.1" ruleset="in")
ruleset(name="in") {{ action(type="omfile" file="{self.file}" template="raw" asyncWriting="off" flushOnTXEnd="on") }}
""",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._pid.unlink(missing_ok=True)
        self._process = subprocess.Popen([RSYSLOGD, "-n", "-f", self._config, "-i", self._pid], stderr=subprocess.DEVNULL)
        wait_for(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def messages(self) -> list[str]:
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        return text.split("\n")[:-1]

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(line[line.index("] {") + 2 :]) for line in self.messages()]


@dataclass
class Hooks:
    """What was posted, and what is answered next: (status, headers); 204 when nothing is left."""

    port: int = 0
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)


class Post:
    """Takes every mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 OK"


@contextmanager
def smtp(pair: Pair, **options: Any) -> Iterator[tuple[list[bytes], int]]:
    """An SMTP server that wants STARTTLS; the mails it took and its port."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    post = Post()
    controller = Controller(post, hostname="127.0.0.1", port=free_port(), tls_context=tls, require_starttls=True, **options)
    controller.start()
    try:
        yield post.mails, controller.port
    finally:
        controller.stop()


@contextmanager
def https(pair: Pair, *, judge: Callable[[bytes], int] | None = None) -> Iterator[Hooks]:
    """An HTTPS server; `judge` answers by what was posted."""
    hooks = Hooks()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hooks.posted.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = (judge(body), {}) if judge else hooks.answers.pop(0) if hooks.answers else (204, {})
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who does not believe us hangs up
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    hooks.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hooks
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
