"""Causes on real peers: three plants of the lab, one event a recording. Root and some twenty minutes of real time.

    python -m tests.causes.lab --out FOLDER [--plant modbus] [--seed 1] [--part K N]

writes FOLDER/PLANT-SEED/{train,calm,EVENT}.pcap and events.json (event -> when it began, in seconds since the epoch, and
addresses it was about).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from appliance.errors import SekishoError
from tests.causes.bench import Bench, hosts
from tests.causes.events import events
from tests.lab import net
from tests.lab.stage import Stage

TRAIN, CALM, BEFORE, EVENT, REST = 200.0, 75.0, 3.0, 38.0, 10.0


def record(protocol: str, seed: int, out: Path, part: tuple[int, int] = (0, 1)) -> None:
    """Record one plant. `part` K, N: only every N-th event, from the K-th on."""
    folder = out / f"{protocol}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    near = f"10.{46 + seed % 40}.{('modbus', 'enip', 'bacnet').index(protocol)}"
    machines, devices, master = hosts(protocol, near)
    told: dict[str, tuple[float, list[str]]] = {}
    with Stage(f"k{protocol[0]}{seed}", machines, seed) as stage:
        bench = Bench(protocol, stage, devices, master, random.Random(f"{protocol}/{seed}"))
        time.sleep(6)
        stage.record(folder / "train.pcap")
        for _ in range(2):
            time.sleep(TRAIN / 4)
            bench.send("engineer", devices[0], [("identify",), ("read", 0)], 1.0)
            time.sleep(TRAIN / 4)
        stage.record(folder / "calm.pcap")
        time.sleep(CALM)
        bench.tidy()  # what learning was about is no event
        shuffled = events(protocol)[part[0] :: part[1]]
        bench.dice.shuffle(shuffled)
        for event in shuffled:
            name = event.__name__.replace("_", "-")
            stage.record(folder / f"{name}.pcap")
            started = time.time()
            time.sleep(BEFORE)
            began = time.time()
            event(bench)
            time.sleep(max(10.0, EVENT - (time.time() - started)))
            stage.record(folder / "between.pcap")
            told[name] = began, sorted(bench.parties)
            bench.tidy()
            (folder / "events.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            print(f"{protocol}-{seed} {name} {time.time() - began:.0f} s", flush=True)
            time.sleep(REST)  # until everybody has found everybody again
        stage.stop_recording()
    (folder / "between.pcap").unlink()


def main(arguments: list[str]) -> int:
    """Record the plants asked for, side by side; 0 well, 1 one failed, 2 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m tests.causes.lab", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plant", nargs="+", choices=("modbus", "enip", "bacnet"), default=["modbus", "enip", "bacnet"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="K N: only every N-th event, from the K-th on")
    options = parser.parse_args(arguments)
    reason = net.can_build()
    if reason:
        print(reason, file=sys.stderr)
        return 2

    def one(protocol: str) -> bool:
        try:
            record(protocol, options.seed, options.out, tuple(options.part))
        except SekishoError as problem:
            print(f"{protocol}: {problem}", file=sys.stderr, flush=True)
            return False
        return True

    with ThreadPoolExecutor(len(options.plant)) as pool:
        return 0 if all(list(pool.map(one, options.plant))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
