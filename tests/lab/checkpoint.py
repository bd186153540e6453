"""An appliance between an HMI and a controller: `sekisho run` and the enforcer in the gate, real polling through it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from appliance.errors import LiveError, RulesError
from appliance.host.control import ENFORCER, ask
from tests.lab.daemon import ROOT, Daemon
from tests.lab.gate import SERVER
from tests.lab.wires import entered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.gate import Gate

SET_POINT = 10  # the register that the HMI writes
PERIOD = 0.05  # seconds between the polls of a client
POLICY = """\
version: 1
name: Lab
topology: {topology}
assets:
  plc: {{address: {server}, mode: {mode}, learned: all}}
management: [192.0.2.1]
never-block: [{never}]
limits: {{steps: [log, block function, quarantine pair, isolate], blocks-per-hour: {cap}, longest-lease: {lease}}}
"""


class Poller(threading.Thread):
    """A client that polls on one connection until told to end, and notes every answer that did not come."""

    def __init__(self, gate: Gate, source: str, *, sets: bool = False, period: float = PERIOD) -> None:
        super().__init__(daemon=True)
        self.gate, self.source, self.sets, self.period = gate, source, sets, period
        self.polls, self.lost, self.connections = 0, 0, 0
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        with entered(self.gate.client):
            talk = ModbusTcpClient(SERVER, timeout=1, retries=0, source_address=(self.source, 0))
            while not self.over.wait(self.period):
                if not talk.connected:
                    self.connections += 1
                    talk.connect()  # type: ignore[no-untyped-call]
                self.polls += 1
                try:
                    answered = not self.poll(talk).isError()
                except (ModbusException, OSError):
                    answered = False
                self.lost += not answered
            talk.close()  # type: ignore[no-untyped-call]

    def poll(self, talk: ModbusTcpClient) -> Any:
        """One of what the client asks in turn; who sets writes its set point as well."""
        turn = self.polls % 20
        if self.sets and turn == 0:
            return talk.write_register(SET_POINT, 20 + self.polls // 20 % 5)
        if turn % 3 == 0:
            return talk.read_input_registers(0, count=6)
        return talk.read_holding_registers(40 * (turn % 2), count=(10, 4)[turn % 2])

    def end(self) -> None:
        """Stop polling."""
        self.over.set()
        self.join(10)


class Checkpoint:
    """Learns from two clients that poll, then watches, with a policy in force; `daemon.lines` is what it tells."""

    def __init__(
        self, gate: Gate, folder: Path, *, posture: str = "enforce", mode: str = "observe", never: str = "192.0.2.7",
        lease: str = "6s", cap: int = 50, learn: str = "12s", latency_ms: int = 100, period: float = PERIOD, more: str = "",
    ) -> None:  # fmt: skip
        self.gate, self.folder, self.period = gate, folder, period
        self.socket, self.keeper = folder / "state" / "enforcer.sock", folder / "state" / "keeper.sock"
        self.policy = folder / "policy.yaml"
        topology = "bridge" if gate.bridge else "router"
        self.policy.write_text(POLICY.format(topology=topology, server=SERVER, mode=mode, never=never, lease=lease, cap=cap))
        self.daemon = Daemon(
            gate,
            folder,
            f'[capture]\ninterfaces = ["c0", "s0"]\nring_mib = 8\nlatency_ms = {latency_ms}\n[learning]\nfor = "{learn}"\n'
            f'[state]\ndirectory = "{folder}/state"\n[output]\nstatus_every = "0.5s"\n'
            f'[enforce]\npolicy = "{self.policy}"\nposture = "{posture}"\nbridge = {str(gate.bridge).lower()}\nper_hour = 100\n'
            + more,
        )
        self.pollers: list[Poller] = []

    def __enter__(self) -> Checkpoint:
        try:
            self.daemon.__enter__()
            self.daemon.ready("learning")
            self.pollers = [
                Poller(self.gate, source, sets=not k, period=self.period) for k, source in enumerate(self.gate.sources)
            ]
            self.daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching", 120)
            self.enforce()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for poller in self.pollers:
            poller.end()
        self.daemon.__exit__()

    def enforce(self) -> None:
        """Compile the policy with what was learned, apply and confirm it, as a person does."""
        until(self.answers, 20, "the enforcer did not answer")
        rules = self.folder / "rules.json"
        self.sekisho("policy", "plan", self.policy, "--baseline", self.folder / "state" / "baseline", "--output", rules)
        self.sekisho("policy", "apply", rules, "--force", "lab", "--by", "lab", "--socket", self.socket)
        self.sekisho("policy", "confirm", "--by", "lab", "--socket", self.socket)
        until(lambda: bool(self.snapshot()["response"]["policy"]), 20, "the policy was not read")

    def snapshot(self) -> dict[str, Any]:
        """What the keeper says of all."""
        return dict(ask(self.keeper, {"verb": "snapshot"})["snapshot"])

    def responses(self, act: str = "") -> list[dict[str, Any]]:
        """Records of what was done, by their time; of one kind where it is named."""
        incidents = ask(self.keeper, {"verb": "incidents", "state": "all", "limit": 500})["incidents"]
        found = [r for i in incidents for r in ask(self.keeper, {"verb": "incident", "id": i["id"]})["others"]]
        return sorted((r for r in found if r["type"] == "response" and act in ("", r["act"])), key=lambda r: float(r["time"]))

    def wait(self, act: str, count: int = 1, seconds: float = 15) -> list[dict[str, Any]]:
        """So many records of a kind."""
        until(lambda: len(self.responses(act)) >= count, seconds, f"not {count} records {act!r}")
        return self.responses(act)

    def answers(self) -> bool:
        """Whether the enforcer answers."""
        try:
            self.ask(verb="status")
        except RulesError:
            return False
        return True

    def is_kept(self) -> bool:
        """Whether a keeper answers."""
        try:
            self.snapshot()
        except LiveError:
            return False
        return True

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the enforcer."""
        return ask(self.socket, request, ENFORCER, 30.0)

    def sekisho(self, *arguments: object, codes: tuple[int, ...] = (0,)) -> str:
        """A command that ends with one of these codes; what it prints."""
        command = [sys.executable, "-m", "appliance", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it. Raises AssertionError."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.05)
