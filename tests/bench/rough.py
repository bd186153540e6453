"""Legitimate polling through the allowlist over a line that loses, delays and reorders (root).

python -m tests.bench.rough [--minutes 10]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import net
from tests.lab.gate import Gate
from tests.lab.rough import Master, Rough
from tests.lab.test_enforce import Office, refused, rules


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--bridge", action="store_true")
    o = options.parse_args()
    reason = net.can_build()
    if reason:
        sys.stderr.write(f"rough: {reason}\n")
        return 2
    with Gate("rsl", bridge=o.bridge) as gate, tempfile.TemporaryDirectory(prefix="skl") as folder:
        office = Office(gate, Path(folder))
        try:
            office.start()
            office.enforce(rules(gate, 1))
            with Rough(gate) as line:
                master = Master(gate)
                time.sleep(o.minutes * 60)
                master.end()
            say(master, line)
            print(f"refused by the kernel: {refused(gate)}")
        finally:
            office.kill()
    return 0


def say(master: Master, line: Rough) -> None:
    """What was asked, and what became of it."""
    print(
        f"{master.polls:,} polls: {master.lost} without an answer, {master.connections} connection, {len(master.broken)} broken"
    )
    print(f"packets of the client: {line.seen:,}, lost {line.lost:,} ({line.lost / line.seen:.1%}), overtaken {line.overtaken:,}")
    print(f"asked again {master.again:,} times, segments with several requests {line.joined:,}")


if __name__ == "__main__":
    sys.exit(main())
