"""What happens to a box, and what its operator sees: disks, ports and files that fail (docs/robustness.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pymodbus.exceptions import ModbusException

from tests.install.box import until
from tests.install.deb import built
from tests.install.polling import Polling
from tests.lab.gate import SERVER
from tests.lab.net import ip_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.install.box import Box
    from tests.lab.gate import Gate

pytestmark = pytest.mark.install
STATE = "/var/lib/sekisho"


@pytest.fixture(scope="module")
def polls(gate: Gate) -> Iterator[Polling]:
    with Polling(gate) as polling:
        yield polling


@pytest.fixture(scope="module")
def watching(box: Box, polls: Polling) -> Box:
    """The appliance on a disk of 64 MiB of its own, set up, learned, watching."""
    box.ok(f"mkdir -p {STATE} && mount -t tmpfs -o size=64m,mode=1770 state {STATE}")
    box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=300)
    box.ok("sekisho setup --interface c0 --interface s0 --mode mirror --lang en --learn-for 20s --start", timeout=180)
    watches(box)
    return box


def watches(box: Box) -> None:
    """Wait until it watches both ports."""
    until(
        "it watches", lambda: (m := box.metrics()).get("sekisho_watching") == 1 and m.get("sekisho_interfaces_down") == 0, 120, 1
    )


def attack(gate: Gate, number: int) -> str:
    """A write by an address that was never seen; returns that address."""
    source = f"10.77.1.{number}"
    ip_batch([f"address add {source}/24 dev e0"], gate.client)
    with gate.connect(SERVER, source) as talk:
        try:
            talk.write_register(5, number)
        except (ModbusException, OSError) as error:
            raise AssertionError(f"the plant stands: {error}") from error
    return source


def told(box: Box, source: str) -> bool:
    """Whether there is an incident with that address."""
    return any(source in incident["assets"] for incident in box.incidents())


def status(box: Box) -> str:
    """What the operator sees."""
    return " ".join(box.sh("COLUMNS=200 sekisho status").stdout.split())


def shown(seen: str) -> str:
    """The problems in it."""
    return seen.rpartition(" problems ")[2][:300]


def test_words_come_from_a_worker_that_may_do_nothing(watching: Box, gate: Gate) -> None:
    source = attack(gate, 30)
    until("the incident", lambda: told(watching, source))
    until("its words", lambda: "Write Single Register" in watching.sh("sekisho incident list --format jsonl").stdout)
    said = watching.ok("journalctl -o cat --no-pager -u 'sekisho-words@*' _PID=1")
    assert "Started sekisho-words@" in said
    assert "Failed with result" not in said


def test_a_full_disk_costs_no_incident_and_is_told(watching: Box, gate: Gate) -> None:
    watching.sh(f"dd if=/dev/zero of={STATE}/filler bs=1M")
    source = attack(gate, 31)
    seen = until("a problem", lambda: s if "needs attention" in (s := status(watching)) and "make room" in s else "", 90, 1)
    print(f"\ndisk full: {shown(seen)}")
    watching.ok(f"rm {STATE}/filler")
    until("the incident is stored", lambda: told(watching, source))
    until("no problem any more", lambda: "make room" not in status(watching), 90, 1)


def test_a_port_that_is_missing_at_boot_is_watched_when_it_comes(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop 'sekisho*'")
    ip_batch(["link set s0 down", "link set s0 name lost0"], gate.gate)
    watching.ok("systemctl start sekisho.target")
    seen = until("told", lambda: s if "s0: " in (s := status(watching)) and "not watched" in s else "", 60, 1)
    print(f"\nport missing: {shown(seen)}")
    ip_batch(["link set lost0 name s0", "address replace 10.77.2.1/24 dev s0", "link set s0 up"], gate.gate)
    watches(watching)


def test_a_broken_store_is_set_aside_and_told(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop sekisho-keeper")
    watching.ok(f"rm -f {STATE}/keeper.sqlite-wal {STATE}/keeper.sqlite-shm")
    watching.ok(f"dd if=/dev/urandom of={STATE}/keeper.sqlite bs=1k count=8 conv=notrunc")
    watching.ok("systemctl start sekisho-keeper")
    seen = until("told", lambda: s if "set aside" in (s := status(watching)) else "", 60, 1)
    print(f"\nstore broken: {shown(seen)}")
    source = attack(gate, 33)
    until("the next incident is stored", lambda: told(watching, source))


def test_a_broken_baseline_is_replaced_by_its_copy_and_told(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop sekisho-sensor")
    watching.ok(f"dd if=/dev/urandom of={STATE}/baseline bs=100 seek=5 count=2 conv=notrunc")
    watching.ok("systemctl start sekisho-sensor")
    seen = until("told", lambda: s if "baseline cannot be used" in (s := status(watching)) else "", 60, 1)
    print(f"\nbaseline broken: {shown(seen)}")
    source = attack(gate, 34)
    until("it still watches", lambda: told(watching, source))


def test_without_a_baseline_and_its_copy_the_others_go_on(watching: Box) -> None:
    watching.ok(
        f"systemctl stop sekisho-sensor && rm -f {STATE}/baseline.sound* && dd if=/dev/urandom of={STATE}/baseline bs=1k count=1"
    )
    watching.sh("systemctl start sekisho-sensor")
    until("one line says so", lambda: "not a baseline or damaged" in watching.sh("journalctl -o cat -u sekisho-sensor").stdout)
    assert "Traceback" not in watching.sh("journalctl -o cat -u 'sekisho-*'").stdout
    assert {"opener", "keeper"} <= watching.processes().keys()
