"""From an attack on the wire to the SIEM: the whole appliance, a real rsyslogd behind TLS, and a receiver that dies."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.test_reporter import Site
from tests.lab import net
from tests.lab.daemon import Daemon
from tests.lab.test_daemon import CASE, config, frames_of, play, sekisho
from tests.lab.wires import Wire, entered
from tests.unit.certificates import Authority
from tests.unit.receivers import RSYSLOGD, Rsyslogd, https, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed")]


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
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


@pytest.fixture
def small(tmp_path: Path, namespaces: None) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True, timeout=30)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True, timeout=30)


def fill(folder: Path) -> Path:
    """Not a byte is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return path


def test_on_a_full_disk_what_waits_is_still_sent_and_sent_once(small: Path, tmp_path: Path) -> None:
    authority, answer = Authority(tmp_path), [503]
    site = Site(small)
    try:
        with https(authority.pair("localhost"), judge=lambda _: answer[0]) as hooks:
            url = f"https://127.0.0.1:{hooks.port}/"
            site.configure(f'[report.to.hook]\nkind = "webhook"\nurl = "{url}"\nca = "{authority.path}"\n')
            site.start("keeper", "reporter")
            site.feed(20)
            wait_for(lambda: site.destination("hook").get("waiting") == 20)
            filler = fill(small)
            hooks.posted.clear()
            answer[0] = 200
            wait_for(lambda: len(hooks.posted) >= 1, 30)
            time.sleep(5)
            with contextlib.closing(sqlite3.connect(small / "reporter.sqlite")) as database:
                noted = database.execute("SELECT after FROM destinations").fetchone()[0]
            print(f"on the full disk it could note {noted} of 20 that arrived")
            filler.unlink()
            wait_for(lambda: site.destination("hook").get("waiting") == 0)
            site.kill("reporter")
            site.start("reporter")
            site.feed(1)
            wait_for(lambda: site.destination("hook")["sent"] == 21)
            uids = [e["metadata"]["uid"] for _, body in hooks.posted for e in json.loads(body)["data"]]
        assert uids == [f"gw-7:i-1-{n}:1" for n in range(1, 22)]
    finally:
        for name in list(site.children):
            site.kill(name)
