"""From an attack on the wire to the SIEM: the whole appliance, a real rsyslogd behind TLS, and a receiver that dies."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab import net
from tests.lab.daemon import Daemon
from tests.lab.test_daemon import CASE, config, frames_of, play, sekisho
from tests.lab.wires import Wire, entered
from tests.unit.certificates import Authority
from tests.unit.receivers import RSYSLOGD, Rsyslogd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed")]


@pytest.fixture
def wire() -> Iterator[Wire]:
    reason = net.can_build()
    if reason:
        pytest.skip(reason)
    with Wire("rp") as made:
        net.ip_batch(["link set lo up"], made.near)
        yield made


class Siem(Rsyslogd):
    """Receives inside of a namespace; when each of its messages was seen."""

    def __init__(self, wire: Wire, folder: Path, authority: Authority) -> None:
        self.near = wire.near
        with entered(self.near):
            super().__init__(folder, authority.pair("localhost"), authority.path)

    def start(self) -> None:
        with entered(self.near):
            super().start()

    def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> tuple[list[dict[str, Any]], int]:
        """The events, and the time (ns) when they were enough."""
        end = time.monotonic() + 60
        while not enough(events := self.bodies()):
            assert time.monotonic() < end, self.messages()
            time.sleep(0.02)
        return events, time.time_ns()


def test_an_attack_on_the_wire_is_in_the_siem_within_seconds_also_after_the_siem_died(wire: Wire, tmp_path: Path) -> None:
    for name in ("state", "siem"):
        (tmp_path / name).mkdir()
    authority = Authority(tmp_path / "siem")
    siem = Siem(wire, tmp_path / "siem", authority)
    siem.start()
    sekisho("learn", CASE / "train.pcap", "--baseline", tmp_path / "state" / "baseline")
    report = (
        f'[report]\ngateway = "gw-7"\n[report.to.siem]\nkind = "syslog"\nhost = "127.0.0.1"\nport = {siem.port}\n'
        f'ca = "{authority.path}"\n'
    )
    attack = frames_of(CASE / "test.pcap")
    try:
        with Daemon(wire, tmp_path, config(tmp_path) + report) as daemon:
            daemon.ready("watching")
            with ThreadPoolExecutor(1) as beside:
                arrival = beside.submit(siem.until, bool)
                play(wire, attack[: len(attack) // 2])
                _, seen = arrival.result()
            first = daemon.until(lambda line: line["type"] == "incident")
            late = (seen - daemon.arrived[daemon.lines.index(first)]) * 1e-9
            print(f"the sensor told it -> it is in the SIEM: {late:.2f} s")
            assert late < 5
            siem.kill()
            play(wire, attack[len(attack) // 2 :])
            time.sleep(3)
            told_of = {line["id"] for line in daemon.lines if line["type"] == "incident"}
            siem.start()
            last = {line["id"]: line for line in daemon.lines if line["type"] == "incident"}
            wanted = {f"gw-7:{name}" for name in told_of}
            events, _ = siem.until(lambda events: {e["finding_info"]["uid"] for e in events} >= wanted)
            assert daemon.stop() == 0
        sequence = [e["metadata"]["sequence"] for e in events]
        assert list(dict.fromkeys(sequence)) == sorted(set(sequence)), "in order, repeats aside"
        scan = next(e for e in events if e["ot"]["incident"] == first["id"] and e["message"])
        assert scan["evidences"]
        assert len(last) > 2
    finally:
        siem.kill()
