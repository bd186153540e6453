"""Starts a plant, steers its peers, records it, and writes a case folder."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.labels import Step
from tests.lab.net import LabError, Net

ROOT = Path(__file__).resolve().parents[2]
MARGIN = 0.03


@dataclass(frozen=True)
class Host:
    """One machine of the plant.

    name     part of its namespace's name
    address  IPv4 address in a /24
    runs     module under tests.lab.peers
    spec     what the peer is told at the start, JSON
    inside   name of another host whose namespace (and so address) this program shares
    cable    attach it over a cable that can go bad
    """

    name: str
    address: str
    runs: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""
    cable: bool = False


@dataclass(frozen=True)
class Done:
    """What a peer did: seconds since the epoch, and its answer."""

    start: float
    end: float
    result: Any


class Peer:
    """A running program and the pipe to it."""

    def __init__(self, name: str, namespace: str, module: str, spec: Mapping[str, Any]) -> None:
        """Start it; `wait_ready` must follow."""
        self.name = name
        command = ["ip", "netns", "exec", namespace, sys.executable, "-m", f"tests.lab.peers.{module}", json.dumps(dict(spec))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        self.buffer = b""

    def line(self, seconds: float) -> dict[str, Any]:
        """Return the next line the peer says; LabError when it dies or says nothing in time."""
        assert self.process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                self.process.kill()
                _, errors = self.process.communicate()
                why = "died" if ready else f"said nothing for {seconds:.0f} s"
                raise LabError(f"peer {self.name} {why}: {errors.decode(errors='replace').strip()[-400:]}; see its module")
            self.buffer += chunk
        first, _, self.buffer = self.buffer.partition(b"\n")
        record: dict[str, Any] = json.loads(first)
        if "crash" in record:
            raise LabError(f"peer {self.name} crashed: {record['crash']}; see its module in tests/lab/peers")
        return record

    def send(self, do: str, **order: Any) -> None:
        """Give an order without waiting."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.line(1)  # raises with what the peer said last
            raise LabError(f"peer {self.name} is gone; see its module in tests/lab/peers") from None

    def answer(self, seconds: float = 30.0) -> Done:
        """Wait for the answer to an order."""
        record = self.line(seconds)
        return Done(record["start"], record["end"], record["result"])

    def end(self) -> None:
        """Stop the program at once; its open connections are reset or closed by the kernel."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


class Stage:
    """A plant that stands while the `with` block lasts."""

    def __init__(self, tag: str, hosts: list[Host], seed: int) -> None:
        """`tag` names the namespaces (short); `seed` reaches every peer with its name."""
        self.net, self.hosts, self.seed = Net(tag), {h.name: h for h in hosts}, seed
        self.peers: dict[str, Peer] = {}
        self.steps: list[Step] = []
        self.started = 0.0

    def __enter__(self) -> Stage:
        """Build the network, start every program, devices before masters."""
        try:
            self.net.open()
            for host in self.hosts.values():
                if not host.inside:
                    self.net.add_host(host.name, host.address, cable=host.cable)
                if host.cable:
                    self._spawn(f"{host.name}-cable", f"{host.name}-cable", "cable", {"device": "w0"})
            self._spawn("switch", "switch", "recorder", {"device": "br0"})
            for host in self.hosts.values():
                self.start(host.name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every program and remove the namespaces."""
        for peer in self.peers.values():
            peer.end()
        self.net.close()

    def _spawn(self, name: str, namespace: str, module: str, spec: Mapping[str, Any]) -> None:
        peer = Peer(name, self.net.namespace(namespace), module, {"seed": f"{self.seed}/{name}", **spec})
        self.peers[name] = peer
        peer.line(60)

    def start(self, name: str) -> None:
        """Start, or start again, a host's program."""
        host = self.hosts[name]
        self._spawn(name, host.inside or name, host.runs, {"address": host.address, "name": name, **host.spec})

    def kill(self, name: str) -> float:
        """Stop a host's program at once; returns the time."""
        now = time.time()
        self.peers.pop(name).end()
        return now

    def freeze(self, name: str, *, on: bool) -> float:
        """Let the program hang (its kernel still acknowledges) or go on; returns the time."""
        now = time.time()
        os.kill(self.peers[name].process.pid, signal.SIGSTOP if on else signal.SIGCONT)
        return now

    def ask(self, name: str, do: str, seconds: float = 60.0, **order: Any) -> Done:
        """Give an order to a host and wait until it is done."""
        self.peers[name].send(do, **order)
        return self.peers[name].answer(seconds)

    def address(self, name: str) -> str:
        """Return a host's address."""
        return self.hosts[name].address

    def mark(self, value: int, episode: int, name: str, start: float, end: float, **rule: Any) -> None:
        """Write down a labelling rule (see labels.Step) for what was just done."""
        self.steps.append(Step(value, episode, name, start - MARGIN, end + MARGIN, **rule))

    def record(self, file: Path) -> Any:
        """Record into `file` from now on; closes the file before, whose frames are returned."""
        return self.ask("switch", "start", file=str(file)).result

    def stop_recording(self) -> Any:
        """Close the file; returns {"frames", "dropped"}."""
        return self.ask("switch", "stop").result

    def at(self, seconds: float) -> None:
        """Sleep until `seconds` after the test recording began; LabError when the script is already late by 5 s."""
        left = self.started + seconds - time.time()
        if left < -5:
            raise LabError(f"the script is {-left:.0f} s late at second {seconds:.0f}; the machine is busy, record fewer at once")
        time.sleep(max(0.0, left))
