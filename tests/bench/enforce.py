"""How long it takes from asking for a lease until the kernel has it, beside the `nft` program and a bare ledger write.

usage: python tests/bench/enforce.py [--times N]        (root: works in a network namespace of its own)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

import numpy as np

from appliance.decide.records import generation_json
from appliance.decide.rules import Allow, Generation, Mode, Pattern, Protected, Service
from appliance.errors import RulesError
from appliance.host.control import ENFORCER
from appliance.host.control import ask as ask_of
from appliance.host.enforcer.ledger import Ledger

MODBUS = Service("tcp", 502)
SERVER = ip_network("10.0.9.9/32")


def ask(path: Path, wanted: dict[str, object]) -> dict[str, object]:
    return ask_of(path, wanted, ENFORCER, 60.0)


def rules(clients: int) -> Generation:
    """A protected server and so many clients that may read."""
    allowed = tuple(
        Allow(ip_network(f"10.1.{k // 250}.{k % 250}/32"), SERVER, MODBUS, 6, (Pattern(0x01030000, 0x0103FFFF),))
        for k in range(clients)
    )
    return Generation(1, (), (Protected(SERVER, MODBUS, Mode.ENFORCE),), allowed)


def lease(k: int) -> dict[str, object]:
    """The k-th of many leases of a minute."""
    pattern = [0x01060000 + k, 0x01060000 + k]
    ends = {"source": "10.1.0.1/32", "target": str(SERVER), "service": "tcp/502", "offset": 6, "pattern": pattern}
    return {
        "id": f"l-{k}",
        "step": "block function",
        **ends,
        "until": time.time_ns() + 60 * 10**9,
        "reason": "bench",
        "incident": "",
    }


def timed(times: int, act: object) -> str:
    """p50 and p99 of an act in milliseconds."""
    spent = []
    for k in range(times):
        begin = time.perf_counter()
        act(k)  # type: ignore[operator]
        spent.append((time.perf_counter() - begin) * 1e3)
    return f"p50 {np.quantile(spent, 0.5):7.2f} ms   p99 {np.quantile(spent, 0.99):7.2f} ms"


def main() -> int:
    """Measure; 0."""
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--times", type=int, default=200)
    o = a.parse_args()
    space = f"skb{os.getpid()}"
    subprocess.run(["ip", "netns", "add", space], check=True)
    inside = ["ip", "netns", "exec", space]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.sock"
        command = [
            sys.executable,
            "-m",
            "appliance",
            "enforcer",
            "--state",
            folder,
            "--socket",
            str(path),
            "--per-hour",
            "100000",
        ]
        enforcer = subprocess.Popen([*inside, *command], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                time.sleep(0.1)
                try:
                    ask(path, {"verb": "status"})
                    break
                except RulesError:
                    continue
            for clients in (10, 2_000, 10_000):
                begin = time.perf_counter()
                ask(
                    path,
                    {
                        "verb": "apply",
                        "generation": generation_json(rules(clients)) | {"number": clients},
                        "seconds": 60,
                        "by": "b",
                        "force": "bench",
                    },
                )
                ask(path, {"verb": "confirm", "by": "b"})
                print(f"policy of {clients:6,} clients: applied and confirmed in {time.perf_counter() - begin:.2f} s")
                asked = timed(o.times, lambda k, c=clients: ask(path, {"verb": "lease", "lease": lease(k + c), "by": "b"}))
                print(f"  lease, asked until it is in the kernel    {asked}")
            ledger = Ledger(Path(folder) / "peer.sqlite")
            written = timed(o.times, lambda k: ledger.write(k, {"what": "x"}, {"k": k}))
            print(f"  a write to the ledger alone               {written}")
            nft = timed(
                min(o.times, 100), lambda _: subprocess.run([*inside, "nft", "list", "tables"], check=True, capture_output=True)
            )
            print(f"  the nft program, doing nothing            {nft}")
        finally:
            enforcer.terminate()
            enforcer.wait(10)
            subprocess.run(["ip", "netns", "del", space], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
