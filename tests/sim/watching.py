"""When do conversations begin to be watched, and was it time? Plants of `plants.Site`, from seven in the morning on.

usage: watching.py [--seeds N]

At each of a few times the baseline learned so far is asked who is ready (`learn.meaning.readiness`). For conversations that are
said to be watched after two hours, the share of new rows in the minutes of the eight hours after is held against the limit
that was told.
Exit code: 0 first conversations within 2 h, the plant within 8 h, at most 5 % of limits passed; else 1.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from appliance.decode.conversation import ConversationTable
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.meaning.model import derive
from appliance.learn.meaning.readiness import PLANT, State, ready_by, share_watched
from appliance.learn.session import Tally, known_servers
from appliance.learn.site.topology import stream_key
from appliance.pipeline import Passes, learn_session
from tests.sim.plants import TONGUES, Site
from tests.sim.thirty_days import split
from tests.sim.wire import DAY, HOUR, MONDAY, SECOND, passes

TIMES = (0.5, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0)  # h learned
JUDGED, LENGTH = 2.0, 10.0
LIVES = {
    "": (20, 1),
    ", slow": (120, 1),
    ", strides": (20, 4099),
    ", slow strides": (60, 137),
}  # s between polls, step of numbers
BEGIN = MONDAY + 7 * HOUR


@dataclass
class Run:
    """One seed of one protocol: hours until the first conversation and until the plant is watched (None: not in time)."""

    first: float | None
    plant: float | None
    limits: int
    passed: int


def run(protocol: str, seed: int, poll: int = 20, stride: int = 1) -> Run:
    """Learn up to each of the times; `poll` s between rounds, transaction numbers go on by `stride`."""
    site = Site(TONGUES[protocol](), seed, poll=poll * SECOND, pages=12, weekly=False, stride=stride)
    frames = split(site.run((BEGIN - MONDAY) / DAY + LENGTH / 24), BEGIN)[1]
    found = Run(None, None, 0, 0)
    for hours in TIMES:
        head, tail = split(frames, BEGIN + round(hours * HOUR))
        baseline = learn_session(passes(head))
        model = derive(baseline)
        watching = ready_by(model, baseline.last)
        if found.first is None and any(w.state is State.WATCHED for w in watching.values()):
            found.first = hours
        if found.plant is None and share_watched(baseline, watching) >= PLANT:
            found.plant = hours
        if hours == JUDGED:
            limits = {stream_key(c): w.new for c, w in watching.items() if w.state is State.WATCHED}
            found.limits, found.passed = len(limits), passed(baseline, passes(tail), limits)
    return found


def passed(baseline: Baseline, rest: Passes, limits: dict[int, float]) -> int:
    """How many conversations brought more that is new than their limit, counted under the structure that was learned."""
    table = ConversationTable()
    table.know(known_servers(baseline))
    structures = {port: next(iter(learned.values())).structure for port, learned in baseline.services.items()}
    tally = Tally(table, structures)
    for batch in rest():
        tally.add(batch)
    learned, services = derive(baseline).services, tally.baseline().services
    pairs = [(learned[port][0], next(iter(now.values())).table) for port, now in services.items() if port in learned]
    above = 0
    for key, limit in limits.items():
        new = total = 0
        for model, now in pairs:
            mine = (now.stream == np.uint64(key)) & ~model.opaque[now.template]
            total += int(now.numbers["minutes"][mine].sum())
            new += int(now.numbers["minutes"][mine & ~np.isin(now.row, model.table.row)].sum())
        above += total > 0 and new / total > limit
    return above


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    ok, limits, above = True, 0, 0
    print("| plant | first conversation watched, h | plant watched, h | limits passed after |\n|---|--:|--:|--:|")
    for name, protocol, (poll, stride) in ((f"{p}{n}", p, life) for n, life in LIVES.items() for p in TONGUES):
        runs = [run(protocol, seed, poll, stride) for seed in range(options.seeds)]
        first = max(float("inf") if r.first is None else r.first for r in runs)
        plant = max(float("inf") if r.plant is None else r.plant for r in runs)
        ok &= first <= 2 and plant <= 8
        mine, broken = sum(r.limits for r in runs), sum(r.passed for r in runs)
        limits, above = limits + mine, above + broken
        print(f"| {name} | {first:g} | {plant:g} | {broken} of {mine} |", flush=True)
    return 0 if ok and above <= 0.05 * limits else 1


if __name__ == "__main__":
    sys.exit(main())
