"""Metrics over HTTP, for a Prometheus that scrapes: only GET /metrics, a few connections at a time, each for a few seconds.

Every scrape asks for a snapshot and turns it into samples: there is no second count of anything. It runs in threads of its own;
where the port is taken the keeper goes on and the problem is told. There is no password: listen on loopback, or on a network of
the management only.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

import appliance
from appliance.errors import SekishoError
from appliance.report.metrics import Sample, samples
from appliance.report.snapshot import overview

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_AT_ONCE, MOST_A_SECOND = 8, 20  # connections: incidents come first, whoever asks how often
READ_S, WHOLE_S = 5.0, 10.0  # that a peer may pause, that a connection may last
AGAIN_S: Final = 30.0  # a port that is taken is tried again
_Address = tuple[str, int]


class SnapshotCollector(Collector):
    """Samples of the snapshot that `ask` gives; `folder` is on the disk whose room is told."""

    def __init__(self, ask: Callable[[], dict[str, Any]], folder: str) -> None:
        self.ask, self.folder = ask, folder

    def collect(self) -> Iterator[Metric]:
        """One family a sample. Raises SekishoError where nobody gives a snapshot."""
        for sample in samples(overview(self.ask()), appliance.__version__, free_share(self.folder)):
            yield _family(sample)


def _family(sample: Sample) -> Metric:
    of = sample.metric
    labels = [of.label] if of.label else []
    if of.kind == "histogram":
        buckets = [(repr(end), float(count)) for end, count in sample.buckets]
        buckets.append(("+Inf", sample.values[0][1]))
        return HistogramMetricFamily(of.name, of.meaning, buckets=buckets, sum_value=sample.total)
    family = CounterMetricFamily if of.kind == "counter" else GaugeMetricFamily
    made = family(of.name, of.meaning, labels=labels)
    for label, value in sample.values:
        made.add_metric([label] if labels else [], value)
    return made


def free_share(folder: str) -> float | None:
    """Share of the disk of a folder that is free to us, 0 to 1; None where the folder is not there."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail / found.f_blocks if found.f_blocks else None


class _Server(ThreadingHTTPServer):
    """A few connections at a time; one that lasts too long is cut."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = MOST_AT_ONCE

    def __init__(self, address: _Address, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.registry = registry
        self.open: dict[socket.socket, float] = {}
        self.last: deque[float] = deque(maxlen=MOST_A_SECOND)
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        del client_address
        now = time.monotonic()
        if len(self.open) >= MOST_AT_ONCE or (len(self.last) == MOST_A_SECOND and now - self.last[0] < 1):
            return False
        self.last.append(now)
        self.open[request] = now + WHOLE_S
        return True

    def service_actions(self) -> None:
        now = time.monotonic()
        for peer, until in list(self.open.items()):
            if now > until:
                try:
                    peer.shutdown(socket.SHUT_RDWR)
                except OSError:  # it ended by itself meanwhile
                    self.open.pop(peer, None)

    def shutdown_request(self, request: Any) -> None:
        self.open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that went away is none of our errors."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    """GET /metrics; nothing else."""

    server: _Server
    timeout = READ_S
    server_version, sys_version = "sekisho", ""

    def do_GET(self) -> None:  # http.server's name
        """Answer one scrape."""
        if self.path.partition("?")[0] != "/metrics":
            self._say(404, b"only /metrics is here\n")
            return
        try:
            body = generate_latest(self.server.registry)
        except SekishoError as error:
            self._say(503, f"{error}\n".encode())
            return
        self._say(200, body, CONTENT_TYPE_PLAIN_0_0_4)  # every Prometheus takes it: no Accept header of a stranger is parsed

    def _say(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A scrape every few seconds is no news."""


@dataclass(slots=True)
class Exporter:
    """Serves metrics as long as it is tended.

    host, port  where; "": nowhere
    ask         gives a snapshot, from any thread; raises SekishoError where it cannot
    folder      on the disk whose room is told
    """

    host: str
    port: int
    ask: Callable[[], dict[str, Any]]
    folder: str
    problem: str = ""
    _server: _Server | None = None
    _next: float = 0.0
    _thread: threading.Thread | None = field(default=None)

    def tend(self, now: float) -> str:
        """See that it is served, at `now` (s, monotonic); what keeps it from being served in one line, "" where it is."""
        if self.host and self._server is None and now >= self._next:
            self._next = now + AGAIN_S
            registry = CollectorRegistry(auto_describe=False)
            registry.register(SnapshotCollector(self.ask, self.folder))
            try:
                self._server = _Server((self.host, self.port), registry)
            except OSError as error:
                self.problem = f"{self.host} port {self.port}: {error.strerror or error}"
                return self.problem
            self.problem = ""
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="metrics", daemon=True)
            self._thread.start()
        return self.problem

    def move(self, host: str, port: int) -> None:
        """Serve elsewhere from now on."""
        if (host, port) != (self.host, self.port):
            self.close()
            self.host, self.port, self.problem, self._next = host, port, "", 0.0

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None
