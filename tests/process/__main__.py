"""python -m tests.process [SEEDS] [HOURS]: learn, watch two clean hours, attack; one row per plant and attack."""

import copy
import sys
from collections import Counter, defaultdict
from statistics import median

from appliance.detect.finding import Finding
from appliance.learn.meaning.model import derive
from tests.process.attacks import ATTACKS, BEGIN, FORGED_TOGETHER
from tests.process.traffic import AIR, TAGS, TANK, Plant, Run
from tests.unit.dialogue import START, judge, learn
from tests.unit.frames import SECOND


def seconds(finding: Finding, run: Run) -> float:
    """When a finding was made, from the begin of the attack."""
    return (finding.time_ns - START) / SECOND - run.seconds - BEGIN


def measure(plant: Plant, seeds: range, hours: float) -> None:
    """Print what was found of each attack, how soon and with which bytes, and what was found though nothing happened."""
    found: dict[str, list[float]] = defaultdict(list)
    early: Counter[str] = Counter()
    false = 0
    for seed in seeds:
        run = Run(plant, seed)
        model = derive(learn(run.record(hours)))
        false += bool(judge(model, copy.deepcopy(run).record(2.0)))
        for attack in (*ATTACKS[plant.name], FORGED_TOGETHER[plant.name]):
            told = [seconds(f, run) for f in judge(model, copy.deepcopy(run).record(1.2, attack.forger(), attack.steer))]
            late = [t for t in told if t >= 0]
            early[attack.name] += len(late) < len(told)
            if late:
                found[attack.name].append(min(late))
    print(f"{plant.name}: {false} of {len(seeds)} clean runs of 2 h with a finding")
    for attack in (*ATTACKS[plant.name], FORGED_TOGETHER[plant.name]):
        times = found[attack.name]
        after = f"median after {median(times):.0f} s, at most {max(times):.0f} s" if times else ""
        print(f"  {attack.name:10} {len(times)}/{len(seeds)}  {after}  before it began: {early[attack.name]}", flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for one in (TANK, AIR, TAGS):
        measure(one, range(1, count + 1), float(sys.argv[2]) if len(sys.argv) > 2 else 4.0)
