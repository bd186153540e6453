"""What happens in every story of the install test: a write from somewhere, a policy in force, frames that must pass."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from pymodbus.exceptions import ModbusException

from tests.install.box import until
from tests.lab.gate import SERVER
from tests.lab.wires import entered

if TYPE_CHECKING:
    from tests.install.box import Box
    from tests.lab.gate import Gate

_PACKET, _AUXDATA, _TAGGED = 263, 8, 1 << 4  # SOL_PACKET; what tells of a tag
PARTS = {"opener", "sensor", "keeper", "enforcer"}
KEPT = "sha256sum /var/lib/sekisho/baseline /etc/sekisho/sekisho.toml /etc/sekisho/policy.yaml"


def policy(topology: str) -> str:
    """A policy that protects the device and lets strangers be answered by any step."""
    return f"""\
version: 1
name: Install test
topology: {topology}
assets:
  plc: {{address: {SERVER}, mode: observe, learned: all}}
management: [192.0.2.1]
never-block: [192.0.2.7]
limits: {{steps: [log, block function, quarantine pair, isolate], blocks-per-hour: 50, longest-lease: 1h}}
"""


def writes(gate: Gate, source: str, value: int) -> bool:
    """Whether a write by this address reaches the device."""
    with gate.connect(SERVER, source) as talk:
        try:
            return bool(talk.connected) and not talk.write_register(5, value).isError()
        except (ModbusException, OSError):
            return False


def watches(box: Box) -> None:
    """Wait until it watches all its ports."""
    until(
        "it watches", lambda: (m := box.metrics()).get("sekisho_watching") == 1 and m.get("sekisho_interfaces_down") == 0, 240, 1
    )


def in_force(box: Box, text: str) -> None:
    """Name a policy in the configuration, answer incidents from now on, apply and confirm it."""
    (box.root / "etc/sekisho/policy.yaml").write_text(text)
    posture = "'s/^posture = .*/posture = \"enforce\"/; s/^# policy = /policy = /'"
    box.ok(f"sed -i {posture} /etc/sekisho/sekisho.toml && systemctl restart sekisho.target")
    until("all parts run", lambda: box.processes().keys() >= PARTS)
    box.ok("sekisho policy plan /etc/sekisho/policy.yaml --baseline /var/lib/sekisho/baseline --output /srv/rules.json")
    until("the enforcer answers", lambda: box.sh("sekisho lease list").returncode == 0)
    box.ok("sekisho policy apply /srv/rules.json --by test && sekisho policy confirm --by test")
    watches(box)
    time.sleep(3)


def left_by_purge(box: Box) -> list[str]:
    """Files of ours that are left, and users and groups."""
    paths = "/etc /var/lib /run /usr /lib /var/cache /var/log"
    found = box.sh(
        f"find {paths} -xdev -iname '*sekisho*' -not -path '/usr/share/mime/*' -not -path '/var/log/journal/*'"
    ).stdout.split()
    people = box.sh("getent passwd | grep sekisho; getent group | grep sekisho").stdout.split()
    return [path for path in found if not path.startswith("/var/log/apt")] + people


def passes(gate: Gate, kind: bytes, target: str) -> bool:
    """Whether a frame of the client's side arrives unchanged at the device's; `kind` is what follows the addresses."""
    frame = bytes.fromhex(target) + b"\x02\x5e\0\0\0\x77" + kind + os.urandom(46)
    with entered(gate.server):
        far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        far.bind(("e0", 0))
        far.setsockopt(_PACKET, _AUXDATA, 1)
    with entered(gate.client):
        near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        near.bind(("e0", 0))
    with closing(near), closing(far):
        far.settimeout(0.5)
        near.send(frame)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with suppress(TimeoutError):
                if _received(far) == frame:
                    return True
    return False


def _received(far: socket.socket) -> bytes:
    """One frame as it was on the wire: the kernel hands a VLAN tag over beside it (packet(7), PACKET_AUXDATA)."""
    frame, beside, _, _ = far.recvmsg(2000, 64)
    for level, kind, data in beside:
        if (level, kind) == (_PACKET, _AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & _TAGGED:
                return frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
    return frame
