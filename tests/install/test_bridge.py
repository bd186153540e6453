"""The same life on a bridge: two ports made one wire as docs/install.md says, watched, guarded, cut from power, removed."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.install import tree
from tests.install.box import until
from tests.install.deb import ROOT, built
from tests.install.polling import Polling
from tests.install.story import KEPT, PARTS, in_force, left_by_purge, passes, policy, watches, writes
from tests.lab.gate import SERVER, Gate
from tests.lab.net import ip_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.install.box import Box

pytestmark = pytest.mark.install
# what is not IP and has to pass a guard in line: what follows the addresses, and the group it is sent to
FRAMES = {
    "spanning tree": (b"\x00\x26\x42\x42\x03\x00\x00\x00\x00\x00", "0180c2000000"),
    "LLDP": (b"\x88\xcc\x02\x07\x04", "0180c200000e"),
    "PROFINET DCP identify": (b"\x88\x92\xfe\xfe\x05\x00", "010ecf000000"),
    "PROFINET cyclic data": (b"\x88\x92\x80\x00", "025e0000000b"),
    "MRP": (b"\x88\xe3\x00\x01", "01154e000001"),
    "GOOSE": (b"\x88\xb8\x00\x01", "010ccd010000"),
    "EtherCAT": (b"\x88\xa4\x0e\x10", "ffffffffffff"),
    "PTP peer delay": (b"\x88\xf7\x02\x02", "0180c200000e"),
    "DCP behind a VLAN tag": (b"\x81\x00\xc0\x00\x88\x92\xfe\xfe\x05\x00", "010ecf000000"),
}


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """A client and a device in one network, and between them two ports that the box makes a wire of."""
    reason = tree.why_not()
    if reason:
        pytest.skip(reason)
    with Gate("instb", bridge=True) as made:
        ip_batch(["link del br0"], made.gate)
        yield made


@pytest.fixture(scope="module")
def polls(gate: Gate) -> Iterator[Polling]:
    with Polling(gate) as polling:
        yield polling


def networkd_files() -> dict[str, str]:
    """The files that docs/install.md tells to write, by path, with the ports of this box."""
    text = (ROOT / "docs/install.md").read_text()
    found = re.findall(r"^    # (/etc/systemd/network/\S+)\n((?:    .*\n)+)", text, flags=re.M)
    return {path: re.sub("^    ", "", body, flags=re.M).replace("eth1 eth2", "c0 s0") for path, body in found}


def refused(gate: Gate) -> list[str]:
    """Which of FRAMES do not pass."""
    return [name for name, (kind, target) in FRAMES.items() if not passes(gate, kind, target)]


def test_two_ports_become_a_wire_as_the_document_says(box: Box, gate: Gate, polls: Polling) -> None:
    files = networkd_files()
    assert len(files) == 3
    assert not writes(gate, gate.source, 7)
    for path, text in files.items():
        (box.root / path.removeprefix("/")).write_text(text)
    box.ok("systemctl enable --now systemd-networkd")
    until("the client reaches the device", lambda: polls.answered > 5, 30)
    assert refused(gate) == []


def test_it_is_installed_into_the_wire_and_learns(box: Box, gate: Gate, polls: Polling) -> None:
    answered, lost = polls.mark()
    box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=300)
    said = box.ok("sekisho setup --interface c0 --interface s0 --mode bridge --lang en --learn-for 30s --start", timeout=180)
    assert "WITHOUT POWER NOTHING PASSES" in said
    watches(box)
    assert SERVER in box.ok("sekisho baseline show /var/lib/sekisho/baseline")
    assert polls.answered > answered + 100
    assert polls.lost == lost


def test_an_attack_is_told_then_blocked_and_the_polling_goes_on(box: Box, gate: Gate, polls: Polling) -> None:
    assert writes(gate, gate.stranger, 999)  # it only watches
    until("the incident", lambda: any(gate.stranger in incident["assets"] for incident in box.incidents()))
    answered, lost = polls.mark()
    in_force(box, policy("bridge"))
    assert writes(gate, gate.stranger, 998)  # the first one is what it is found by
    until("a block", lambda: gate.stranger in box.sh("sekisho lease list").stdout)
    assert not writes(gate, gate.stranger, 997)
    until("polls go on", lambda: polls.answered > answered + 30)
    assert polls.lost == lost
    assert "table bridge sekisho" in box.ok("nft list tables")


def test_what_is_not_ip_passes_while_rules_are_in_force(gate: Gate, box: Box) -> None:
    assert refused(gate) == []


def test_after_a_power_cut_the_wire_and_its_rules_come_back_by_themselves(box: Box, gate: Gate, polls: Polling) -> None:
    before, rules = box.ok(KEPT), box.ok("nft list tables")
    box.cut()
    ip_batch(["link del br0"], gate.gate)  # the ports outlive the container, a wire made of them would not
    answered, begun = polls.answered, time.monotonic()
    print(f"\nboot: {box.boot():.1f} s")
    until("the client reaches the device", lambda: polls.answered > answered + 5, 60)
    print(f"polls again {time.monotonic() - begun:.1f} s after power came back")
    until("all parts run", lambda: box.processes().keys() >= PARTS, 60)
    assert box.ok(KEPT) == before
    assert box.ok("nft list tables") == rules
    order = box.ok("systemctl show -p ActiveEnterTimestampMonotonic --value sekisho-enforcer-restore systemd-networkd").split()
    assert int(order[0]) <= int(order[1])
    assert not writes(gate, gate.stranger, 996)  # the block had time left
    assert refused(gate) == []


def test_removed_and_purged_it_leaves_a_wire(box: Box, gate: Gate, polls: Polling) -> None:
    lost = polls.mark()[1]
    box.ok("apt-get remove -y sekisho", timeout=180)
    assert box.ok("nft list tables") == ""
    assert writes(gate, gate.stranger, 995)  # nothing stands in the way of anybody any more
    box.ok("test -s /var/lib/sekisho/baseline")
    box.ok("apt-get purge -y sekisho", timeout=180)
    assert left_by_purge(box) == []
    answered = polls.answered
    until("polls go on", lambda: polls.answered > answered + 20)
    assert polls.lost == lost
    assert refused(gate) == []
