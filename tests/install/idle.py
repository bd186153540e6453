"""What an installed appliance writes to its disk: when nothing happens, and for an incident.

    python -m tests.install.idle [MINUTES [INCIDENTS]]        as root; 10 minutes idle, then 5 incidents a minute apart

Bytes are those that each process of the booted system made the kernel write (`write_bytes` of proc(5)), our own and those of
others, such as journald. A day with incidents is reckoned from a day without and from what one of them costs.
"""

from __future__ import annotations

import os
import sys
import time

from tests.install import tree
from tests.install.box import Box, until
from tests.install.deb import built
from tests.install.polling import Polling
from tests.install.story import PARTS, watches, writes
from tests.lab.gate import Gate
from tests.lab.net import ip_batch

DAY = 86_400
SETTLE_S = 90.0  # after learning: what is written once is not what is written daily
APART_S = 60.0
AN_HOUR = 5  # incidents an hour that a day is reckoned with


def written(box: Box) -> dict[str, int]:
    """Name of each unit of the system -> bytes its processes have made the kernel write so far."""
    script = (
        "for p in /proc/[0-9]*; do echo $(sed -n 's/^write_bytes: //p' $p/io) $(grep -m1 -E 'name=systemd|^0::' $p/cgroup); done"
    )
    told: dict[str, int] = {}
    for row in box.ok(script).splitlines():
        size, _, group = row.partition(" ")
        if size.isdigit() and "/" in group:
            name = group.rstrip("/").rpartition("/")[2] or "system"
            told[name] = told.get(name, 0) + int(size)
    return told


def changed(box: Box, since: float) -> list[str]:
    """Files below /var that changed since then, with their sizes."""
    found = []
    for path in sorted((box.root / "var").rglob("*")):
        told = path.lstat() if path.exists() else None
        if told is not None and path.is_file() and told.st_mtime > since:
            found.append(f"{path.relative_to(box.root)} ({told.st_size:,} bytes)")
    return found


def told(what: str, before: dict[str, int], after: dict[str, int], seconds: float) -> float:
    """Print what each unit wrote and what that is in a day; the sum in MB a day."""
    print(f"\n{what}, {seconds:.0f} s:")
    total = 0.0
    for name, size in sorted(after.items(), key=lambda row: before.get(row[0], 0) - row[1]):
        grown = size - before.get(name, 0)
        if grown:
            total += grown
            print(f"  {name:40s} {grown / 1024:10.0f} KiB {grown / seconds * DAY / 1e6:10.2f} MB a day")
    print(f"  {'all':40s} {total / 1024:10.0f} KiB {total / seconds * DAY / 1e6:10.2f} MB a day")
    return total


def measure(box: Box, gate: Gate, minutes: float, incidents: int) -> None:
    """Idle first, then incidents."""
    begun, first = time.time(), written(box)
    time.sleep(minutes * 60)
    last, seconds = written(box), time.time() - begun
    idle = (
        told(f"idle at 10 polls/s, {len(box.incidents())} incidents open (none, else it was not idle)", first, last, seconds)
        / seconds
    )
    print("  changed:", *changed(box, begun), sep="\n    ")
    begun, first = time.time(), last
    for number in range(incidents):
        source = f"10.77.1.{100 + number}"
        ip_batch([f"address add {source}/24 dev e0"], gate.client)
        assert writes(gate, source, number)
        until("the incident", lambda s=source: any(s in i["assets"] for i in box.incidents()))  # type: ignore[misc]
        time.sleep(APART_S)
    last, seconds = written(box), time.time() - begun
    one = max(0.0, told(f"{incidents} incidents", first, last, seconds) - idle * seconds) / max(1, incidents)
    print("  changed:", *changed(box, begun), sep="\n    ")
    print(f"\nidle {idle * DAY / 1e6:.1f} MB a day; an incident {one / 1e6:.2f} MB; "
          f"{AN_HOUR} an hour {(idle + one * AN_HOUR / 3600) * DAY / 1e6:.1f} MB a day")  # fmt: skip


def main(minutes: int = 10, incidents: int = 5) -> None:
    """Boot, install, learn, measure, remove."""
    root = tree.cache() / f"box-{os.getpid()}"
    with Gate("idle", bridge=False) as gate, Polling(gate):
        tree.lay_out(root, built())
        box = Box(root, gate.gate)
        try:
            box.boot()
            box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=400)
            box.ok("sekisho setup --interface c0 --interface s0 --mode router --lang en --learn-for 30s --start", timeout=180)
            until("all parts run", lambda: box.processes().keys() >= PARTS)
            watches(box)
            time.sleep(SETTLE_S)
            measure(box, gate, minutes, incidents)
        finally:
            box.remove()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
