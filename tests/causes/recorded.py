"""Incidents of real peers: the recordings of `tests.causes.lab`, and the lab's labelled cases in `pcaps/`."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from appliance.host.files import open_capture
from appliance.packets.reader import batches
from tests.causes.incidents import Known, incidents, learned
from tests.causes.scenario import SCENARIOS, Scenario
from tests.causes.simulate import Sample, labelled, mark
from tests.causes.wire import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = {"modbus": "pymodbus", "enip": "cpppo", "bacnet": "bacpypes3", "unknown": "own", "network": "pymodbus"}
JUMP = 400 * SECOND  # how far the recorder's clock is set


def frames(path: Path) -> list[tuple[int, bytes]]:
    """(ns, frame) of a capture."""
    found: list[tuple[int, bytes]] = []
    with open_capture(path) as source:
        for batch in batches(source):
            ends = batch.offset.astype(int) + batch.captured.astype(int)
            data = batch.data
            found += [
                (int(t), bytes(data[a:b]))
                for t, a, b in zip(batch.time.tolist(), batch.offset.tolist(), ends.tolist(), strict=True)
            ]
    return found


def recorded(lab: Path | None, pcaps: Path | None) -> Iterator[Sample]:
    """Samples of both; a folder that is not given is left out."""
    for folder in sorted(lab.iterdir()) if lab is not None else ():
        if (folder / "events.json").exists():
            yield from _plant(folder)
    for case in sorted(p.parent for p in pcaps.glob("*/case.toml")) if pcaps is not None else ():
        yield from _case(case)


def _plant(folder: Path) -> Iterator[Sample]:
    """One recorded plant; what it is told for in its calm minute is no part of any sample.

    Nor is an incident in which nobody takes part that the event was about: a busy machine's peers are late now and then.
    """
    known = learned(frames(folder / "train.pcap"))
    usual = frozenset(mark(f) for i in incidents(known, frames(folder / "calm.pcap")) for f in i.findings)
    protocol = folder.name.split("-")[0]
    for name, (began, parties) in sorted(json.loads((folder / "events.json").read_text(encoding="utf-8")).items()):
        begin = int(began * SECOND)
        seen = [f for f in frames(folder / f"{name}.pcap") if not _aside(f[1])]
        if name == "clock-jumps":
            seen = [(at + JUMP * (at >= begin), raw) for at, raw in seen]
        place = ("lab", protocol, STACK[protocol], f"lab/{folder.name}/{name}")
        yield from labelled(known, seen, begin, SCENARIOS[name], place, usual, frozenset(parties))


# Steps of the labelled cases that are what a scenario is, by name.
_SAME = {
    "unknown-host-writes-coils": "stranger-writes", "master-writes-parameter": "master-writes",
    "function-scan": "functions-tried",
    "address-scan": "stranger-scans", "forged-level": "device-lies", "device-reboots": "program-crashes",
    "device-hangs": "device-hangs", "exception-storm": "only-errors", "scan-of-dark-addresses": "stranger-scans",
    "unknown-host-lists-identity": "stranger-looks", "unknown-host-writes-setpoint": "stranger-writes",
    "master-writes-limit": "master-writes", "master-resets-controller": "master-restarts",
    "controller-reboots": "program-crashes",
    "cable-pulled": "cable-lost", "unknown-host-asks-who-is": "stranger-looks", "unknown-host-writes-limit": "stranger-writes",
    "unknown-host-reinitializes": "stranger-restarts", "station-stops-fan": "master-writes", "controller-silent": "device-hangs",
    "controller-restarts": "program-crashes", "unknown-host-doses": "stranger-writes",
    "controller-sends-unused-command": "master-writes", "controller-overdoses": "master-writes", "length-lies": "stranger-writes",
    "bad-cable": "cable-loses", "link-flaps": "link-flaps", "cable-broken": "cable-lost", "controller-hangs": "device-hangs",
}  # fmt: skip


def _case(case: Path) -> Iterator[Sample]:
    """One labelled case: the frames from a step to the next are a recording of that step."""
    facts = tomllib.loads((case / "case.toml").read_text(encoding="utf-8"))
    steps = [s for s in facts.get("steps", []) if s["name"] in _SAME]
    if not steps:
        return
    known = learned(frames(case / "train.pcap"))
    test = frames(case / "test.pcap")
    begin = test[0][0]
    starts = [begin + int(s["start"] * SECOND) for s in steps]
    ends = [*starts[1:], test[-1][0] + 1]
    protocol = case.name.split("-")[0]
    for step, start, end in zip(steps, starts, ends, strict=True):
        piece = [f for f in test if start - 8 * SECOND <= f[0] < end - SECOND and not _aside(f[1])]
        place = ("lab", protocol, STACK.get(protocol, "own"), f"pcaps/{case.name}/{step['name']}")
        yield from labelled(known, piece, start, _scenario(step["name"]), place)


def _aside(raw: bytes) -> bool:
    """True for the time service, which nothing that is played touches: what is told of it there is a false alarm."""
    return raw[12:14] == b"\x08\0" and raw[23] == 17 and b"\0\x7b" in (raw[34:36], raw[36:38])


def _scenario(step: str) -> Scenario:
    return SCENARIOS[_SAME[step]]


__all__ = ["Known", "frames", "recorded"]
