"""Run the suite: python -m tests.order_time [--classes A,B] [--plants A,B] [--per-class N] [--seed S] [--cases DIR]."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.order_time.changes import CLASSES
from tests.order_time.others import others
from tests.order_time.plants import LAB, SHARED, made, recorded
from tests.order_time.score import clean_variants, learned, limits, score

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Print a row per plant and class."""
    parser = argparse.ArgumentParser(prog="tests.order_time", description="Find what is wrong in order and time only.")
    parser.add_argument("--classes", default=",".join(CLASSES))
    parser.add_argument("--plants", default="", help="names, all by default")
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=Path, default=ROOT.parent / "shared" / "pcaps" / "cases")
    a = parser.parse_args()
    plants = [*made(a.seed), *others(a.seed), *recorded(ROOT / "pcaps", LAB), *recorded(a.cases, SHARED)]
    wanted = set(filter(None, a.plants.split(",")))
    for plant in plants:
        if wanted and plant.name not in wanted:
            continue
        rows, clean = score(plant, a.classes.split(","), a.per_class, a.seed)
        variants = " ".join(f"{k} {n}" for k, n in clean_variants(plant, a.seed).items())
        print(f"{plant.name}: findings in clean half {clean}; {variants}", flush=True)
        print(f"  {limits(learned(plant))}", flush=True)
        for name, row in rows.items():
            share = f"{row.found / row.tried:.2f}" if row.tried else " -  "
            kinds = " ".join(f"{k}:{n}" for k, n in row.kinds.most_common(4))
            bound = f"reachable {row.reachable:3}, found of these {row.found / max(1, row.reachable):.2f}"
            print(f"  {name:12} {share} of {row.tried:3}  {bound}  elsewhere {row.elsewhere}  {kinds}", flush=True)


if __name__ == "__main__":
    main()
