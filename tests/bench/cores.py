"""One core and several: frames a second without loss, and what each process of the sensor uses. Root, Linux.

usage: cores.py [--cores N ...] [--rates PPS ...] [--seconds S]

On a veth pair in namespaces of its own. Sensor, shares and sender go before whatever else runs (nice -10, -15), as a capture must
where it is at home; on a busy machine the CPU a frame tells more than the rate: `busiest_us` is that of the process that decides.
One JSON line for each number of cores and rate; exit code 2: cannot run here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.live import CONFIG, TICK, end, learned, port, sent
from tests.lab import net
from tests.lab.daemon import ROOT, Daemon, Place
from tests.lab.test_shares import shares
from tests.lab.wires import Wire, entered

ASSETS = 200


def used(pid: int) -> float:
    """CPU seconds of a process."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICK


def resident(pid: int) -> int:
    """Resident MB, the ring included."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(row.split()[1] for row in rows if row.startswith("VmRSS:"))) // 1000


def processes(run: Daemon) -> dict[str, int]:
    """The sensor and its shares."""
    return {"sensor": run.child("sensor.process"), **{f"share {n}": pid for n, pid in sorted(shares(run).items())}}


def load(wire: Place, rate: float, seconds: float) -> subprocess.Popen[str]:
    """The load generator at the far end, on whatever processor is free."""
    command = [sys.executable, str(ROOT / "tests/bench/sender.py"), "w0", "--rate", str(rate), "--seconds", str(seconds)]
    with entered(wire.far):
        process = subprocess.Popen([*command, "--assets", str(ASSETS)], stdout=subprocess.PIPE, text=True)
    os.setpriority(os.PRIO_PROCESS, process.pid, -15)
    return process


def measure(run: Daemon, rate: float, seconds: float) -> dict[str, Any]:
    """One rate."""
    run.status()
    before, pids = run.status(), processes(run)
    for pid in pids.values():
        os.setpriority(os.PRIO_PROCESS, pid, -10)
    cpu = {name: used(pid) for name, pid in pids.items()}
    out = sent(load(run.wire, rate, seconds))
    begin = time.monotonic()
    while True:
        after = run.status()
        judged, arrived = after["frames"] - before["frames"], port(after, "frames") - port(before, "frames")
        dropped = port(after, "dropped") - port(before, "dropped")
        if judged >= arrived - dropped or time.monotonic() - begin > 30:
            break
    shares_of = {name: round(used(pid) - cpu[name], 2) for name, pid in pids.items()}
    return {
        "rate": out["rate"], "arrived": arrived, "judged": judged, "dropped": dropped,
        "behind_s": round(time.monotonic() - begin, 1), "cpu_s": shares_of,
        "cpu_us_per_frame": round(sum(shares_of.values()) / max(judged, 1) * 1e6, 2),
        "busiest_us": round(max(shares_of.values()) / max(judged, 1) * 1e6, 2),
        "resident_mb": {name: resident(pid) for name, pid in pids.items()},
    }  # fmt: skip


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[100_000, 150_000, 200_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    reason = net.can_build()
    if reason:
        print(f"cores: {reason}", file=sys.stderr)
        return 2
    for cores in options.cores:
        with tempfile.TemporaryDirectory(prefix="skc") as name, Wire(f"c{cores}") as wire:
            folder = Path(name)
            text = CONFIG.format(latency=500, learn="8s", state=folder / "state").replace(
                "[learning]", f"cores = {cores}\n[learning]"
            )
            with Daemon(wire, folder, text) as run:
                run.ready()
                quiet = learned(run)
                while cores > 1 and f"by {cores} shares" not in run.notes():
                    time.sleep(0.2)
                end(quiet)
                for rate in options.rates:
                    print(json.dumps({"cores": cores, **measure(run, rate, options.seconds)}), flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
