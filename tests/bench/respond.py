"""From the attack's packet to the bulletin and to the kernel's block, with the whole appliance running (root).

    python -m tests.bench.respond [--trials 24] [--latency 100]

Known clients that poll a real Modbus server through a router each write a register that they never wrote. The packet's time is
the kernel's stamp on the captured frame; the bulletin is when its line left `sekisho run`; the block is when the enforcer had
answered that it is in the kernel. Every block is then proved by a second write that must not arrive.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from tests.lab import net
from tests.lab.checkpoint import Checkpoint, until
from tests.lab.gate import SERVER, Gate
from tests.lab.net import ip_batch
from tests.lab.wires import entered


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--trials", type=int, default=24)
    options.add_argument("--latency", type=int, default=100, help="[capture] latency_ms")
    o = options.parse_args()
    reason = net.can_build()
    if reason:
        sys.stderr.write(f"respond: {reason}\n")
        return 2
    with Gate("rsb", bridge=False) as gate, tempfile.TemporaryDirectory(prefix="skl") as folder:
        gate.sources = [f"10.77.1.{100 + k}" for k in range(o.trials + 1)]  # the first one is the HMI, which sets
        ip_batch([f"address add {a}/24 dev e0" for a in gate.sources], gate.client)
        with Checkpoint(gate, Path(folder), learn="30s", latency_ms=o.latency, lease="10m", cap=100, period=0.5) as point:
            measure(point, gate)
    return 0


def measure(point: Checkpoint, gate: Gate) -> None:
    """Every client attacks once."""
    refused = 0
    for count, source in enumerate(gate.sources[1:], 1):
        attempt(gate, source, 1000 + count)
        until(lambda c=count: len(point.responses("applied")) >= c, 20, f"{source} was not blocked")  # type: ignore[misc]
        refused += not attempt(gate, source, 2000 + count)
        time.sleep(0.037)  # out of step with the sensor's looks
    lines = list(zip(point.daemon.arrived, point.daemon.lines, strict=False))
    bulletin: dict[str, int] = {}
    for at, line in lines:
        if line["type"] == "incident":
            bulletin.setdefault(str(line["id"]), at)
    first: dict[str, float] = {}
    for _, line in lines:
        if line["type"] == "finding" and line["src"] == line["client"]:
            first.setdefault(str(line["incident"]), float(line["time"]))
    applied = {str(r["incident"]): float(r["time"]) for r in reversed(point.responses("applied"))}
    print(f"{len(applied)} incidents blocked; {refused} of {len(gate.sources) - 1} second writes did not arrive; polls lost: "
          f"{sum(p.lost for p in point.pollers)} of {sum(p.polls for p in point.pollers)}")  # fmt: skip
    say("packet to bulletin", [bulletin[i] / 1e9 - first[i] for i in applied])
    say("packet to block in the kernel", [at - first[i] for i, at in applied.items()])
    say("bulletin to block", [at - bulletin[i] / 1e9 for i, at in applied.items()])


def attempt(gate: Gate, source: str, value: int) -> bool:
    """A write that nobody was ever seen to do; whether it was answered."""
    with entered(gate.client):
        talk = ModbusTcpClient(SERVER, timeout=1, retries=0, source_address=(source, 0))
        try:
            return bool(talk.connect()) and not talk.write_register(5, value).isError()  # type: ignore[no-untyped-call]
        except (ModbusException, OSError):
            return False
        finally:
            talk.close()  # type: ignore[no-untyped-call]


def say(what: str, seconds: list[float]) -> None:
    """Median, p99 (the worst of few) and the worst."""
    ordered = sorted(seconds)
    cut = quantiles(ordered, n=100, method="inclusive")
    print(f"  {what:32s} p50 {cut[49] * 1e3:6.0f} ms   p99 {cut[98] * 1e3:6.0f} ms   worst {ordered[-1] * 1e3:6.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
