"""Thirty days of plants: does what was promised after learning hold in the days after? From frames to findings.

usage: thirty_days.py [--seeds N] [--days-learned D,...] [--poll MIN] [--lapses L] [--plot FILE]

For each seed and protocol a site lives for thirty days (`plants.Site`). Learning sees the first days, detection the rest, once
for every budget. An incident is counted again when its story was silent for an hour, so that a story that never ends is not one
incident in sixteen days. Adequacy is held against the rows that later days really bring, counted under the structure that was
learned. --poll below ten minutes has silence, pace, order and process judged as well, which slower polling hides as a clock
that was set; --lapses has devices gone for a while, so often a day. Prints tables; --plot draws what came against what was
promised. Exit code: 0 where at most 5 % of the promises were broken beyond chance.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from appliance.commands import TellFinding
from appliance.decode.conversation import ConversationTable
from appliance.detect.finding import Finding
from appliance.detect.locate import locate
from appliance.errors import UsageError
from appliance.incident.grouping import story_key
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.counting.counts import ADEQUACY_BLOCKS
from appliance.learn.meaning.adequacy import adequacy
from appliance.learn.meaning.calibrate import apply, budget
from appliance.learn.meaning.model import Model, derive
from appliance.learn.meaning.poisson import lower, upper
from appliance.learn.session import Tally, known_servers
from appliance.pipeline import Passes, State, finish, learn_session, step
from tests.sim.plants import TONGUES, Site
from tests.sim.wire import DAY, HOUR, MINUTE, MONDAY, Frames, passes

DAYS = 30.0
KNOWABLE = 14.0  # days learned, from which on a week was seen twice
BUDGETS = (0.25, 0.5, 1.0, 2.0, 5.0)
NAMES = dict(zip(ADEQUACY_BLOCKS, ("minute", "hour", "day"), strict=True))
COLUMNS = dict(zip(ADEQUACY_BLOCKS, ("minutes", "hours", "days"), strict=True))


def split(frames: Frames, at: int) -> tuple[Frames, Frames]:
    """Frames before and from a time on."""
    return [f for f in frames if f[0] < at], [f for f in frames if f[0] >= at]


def findings(model: Model, frames: Passes) -> list[Finding]:
    """All findings of a run, in the order of time."""
    state, told = State.start(model), []
    for batch in frames():
        state, commands = step(state, batch)
        told += [c.finding for c in commands if isinstance(c, TellFinding)]
    state, commands = finish(state)
    told += [c.finding for c in commands if isinstance(c, TellFinding)]
    return sorted(told, key=lambda f: f.time_ns)


def incidents(found: list[Finding]) -> list[Finding]:
    """The findings that open an incident, each story anew after an hour of silence."""
    times: dict[tuple[str, ...], int] = {}
    opening = []
    for finding in found:
        key = story_key(finding)
        if finding.time_ns - times.get(key, -DAY) > HOUR:
            opening.append(finding)
        times[key] = finding.time_ns
    return opening


@dataclass
class Cell:
    """One protocol, days learned and budget, over the seeds: incidents per run, refusals, what was muted, promises."""

    protocol: str
    learned: float
    asked: float | None
    came: list[int] = field(default_factory=list)
    refused: int = 0
    muted: list[int] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    promised: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def days(self) -> float:
        return (DAYS - self.learned) * len(self.came)

    def limits(self) -> tuple[float, float, float]:
        """Incidents a day, with the exact 90 % interval of a Poisson count."""
        n = sum(self.came)
        return n / self.days, lower(n) / self.days, upper(n) / self.days

    def broken(self) -> int:
        """Runs whose mean lies above what was promised."""
        return sum(c > p * (DAYS - self.learned) for c, p in zip(self.came, self.promised, strict=bool(self.promised)))

    def beyond(self) -> int:
        """Runs with more incidents than a Poisson count with the promised mean has in 95 of 100 cases."""
        return sum(lower(c) > p * (DAYS - self.learned) for c, p in zip(self.came, self.promised, strict=bool(self.promised)))


@dataclass
class Cover:
    """Adequacy of one protocol, days learned and block: interval against the mean that came, per seed."""

    protocol: str
    learned: float
    unit: int
    expected: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    inside: int = 0


def asks(base: Baseline, rest: Passes, cells: list[Cell]) -> None:
    """Ask for every budget, and count what comes."""
    known: dict[frozenset[object], list[Finding]] = {}
    for cell in cells:
        model = derive(base)
        muted: frozenset[object] = frozenset()
        if cell.asked is not None:
            try:
                chosen = budget(model, cell.asked, locate)
            except UsageError:
                cell.refused += 1
                continue
            apply(model, chosen)
            muted = frozenset(chosen.muted)
            cell.promised.append(chosen.promised)
            cell.muted.append(len(chosen.muted))
            cell.classes.append(chosen.classes)
        if muted not in known:  # the same classes muted: the same findings
            known[muted] = incidents(findings(model, rest))
        cell.came.append(len(known[muted]))
        cell.kinds.update(f.kind.value for f in known[muted])


def covers(base: Baseline, rest: Passes, cells: dict[int, Cover]) -> None:
    """Hold adequacy against what later days bring, counted under the structure that was learned."""
    table = ConversationTable()
    table.know(known_servers(base))
    structures = {port: next(iter(learned.values())).structure for port, learned in base.services.items()}
    tally = Tally(table, structures)
    for batch in rest():
        tally.add(batch)
    later = tally.baseline()
    model = derive(base)
    for block in adequacy(base):
        if not block.knowable or block.messages is None:
            continue
        came = 0
        for port, services in model.services.items():
            now = next(iter(later.services[port].values())).table
            new = ~np.isin(now.row, services[0].table.row) & ~services[0].opaque[now.template]
            came += int(now.numbers[COLUMNS[block.block_ns]][new].sum())
        mean = came * block.block_ns / later.watched
        cell = cells[block.block_ns]
        cell.expected.append(block.messages.number)
        cell.came.append(mean)
        cell.inside += block.messages.number_low <= mean <= block.messages.number_high


def simulate(
    protocol: str, seeds: range, learned: tuple[float, ...], weekly: bool, poll: float = 90, lapses: float = 0
) -> tuple[list[Cell], list[Cover]]:
    """All budgets and blocks of one protocol.

    weekly   with the report and the backup, which less than 14 days cannot know
    poll     minutes between rounds; lapses  times a day that a device is gone for a while
    """
    name = protocol if weekly else f"{protocol}, no week"
    cells = {d: [Cell(name, d, asked) for asked in (None, *BUDGETS)] for d in learned}
    cover = {d: {unit: Cover(name, d, unit) for unit in ADEQUACY_BLOCKS} for d in learned}
    for seed in seeds:
        frames = Site(TONGUES[protocol](), seed, round(poll * MINUTE), weekly=weekly, lapses=lapses).run(DAYS)
        for days in learned:
            head, tail = split(frames, MONDAY + round(days * DAY))
            base = learn_session(passes(head))
            asks(base, passes(tail), cells[days])
            covers(base, passes(tail), cover[days])
    return [c for row in cells.values() for c in row], [c for row in cover.values() for c in row.values() if c.came]


def table(cells: list[Cell]) -> list[str]:
    """Markdown."""
    lines = [
        "| plant | days learned | asked | refused | muted | promised | came per day | 90 % interval | runs above |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for c in cells:
        asked = "-" if c.asked is None else f"{c.asked:g}"
        if not c.came:
            lines.append(f"| {c.protocol} | {c.learned:g} | {asked} | {c.refused} | | | | | |")
            continue
        mean, low, high = c.limits()
        muted = f"{np.mean(c.muted):.1f} of {np.mean(c.classes):.1f}" if c.muted else "-"
        promised = f"{np.median(c.promised):.2f}" if c.promised else "-"
        above = f"{c.broken()} of {len(c.came)}" if c.promised else "-"
        came = f"{mean:.2f} | {low:.2f} - {high:.2f} | {above}"
        lines.append(f"| {c.protocol} | {c.learned:g} | {asked} | {c.refused} | {muted} | {promised} | {came} |")
    return lines


def cover_table(cells: list[Cover]) -> list[str]:
    """Markdown."""
    lines = ["| plant | days learned | next | expected | came | in the 90 % interval |", "|---|--:|---|--:|--:|--:|"]
    for c in cells:
        values = f"{np.mean(c.expected):.3g} | {np.mean(c.came):.3g} | {c.inside} of {len(c.came)}"
        lines.append(f"| {c.protocol} | {c.learned:g} | {NAMES[c.unit]} | {values} |")
    return lines


def told(name: str, cells: list[Cell]) -> None:
    """One line: how many promises were broken."""
    broken, beyond = sum(c.broken() for c in cells), sum(c.beyond() for c in cells)
    print(f"{name}: {broken} of {sum(len(c.promised) for c in cells)} promises broken, {beyond} of them beyond chance")


def plot(cells: list[Cell], target: Path) -> None:
    """Came against promised, a point for every run, as SVG: both axes logarithmic, from 0.05 to 10 a day."""

    def at(value: float) -> float:
        return 40 + 360 * float(np.log(max(value, 0.05) / 0.05) / np.log(200))

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 440 440" font-family="sans-serif" font-size="11">',
        '<rect width="440" height="440" fill="#fff"/>',
        f'<path d="M40 400L{at(10):.0f} {440 - at(10):.0f}" stroke="#444"/><path d="M40 40V400H400" stroke="#444" fill="none"/>',
        '<text x="220" y="432" text-anchor="middle">promised per day (upper limit, 95 %)</text>',
        '<text x="12" y="220" text-anchor="middle" transform="rotate(-90 12 220)">came per day in the days after</text>',
    ]
    for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10):
        lines.append(f'<text x="{at(tick):.0f}" y="414" text-anchor="middle">{tick:g}</text>')
        lines.append(f'<text x="36" y="{444 - at(tick):.0f}" text-anchor="end">{"none" if tick == 0.05 else f"{tick:g}"}</text>')
    for i, (protocol, color) in enumerate(zip(TONGUES, ("#1b6ca8", "#2e8b57", "#d98200", "#b03060"), strict=True)):
        points = [
            f'<circle cx="{at(p):.1f}" cy="{440 - at(came / (DAYS - c.learned)):.1f}" r="2"/>'
            for c in cells
            if c.protocol.startswith(protocol) and c.asked is not None
            for p, came in zip(c.promised, c.came, strict=True)
        ]
        lines += [f'<g fill="{color}" fill-opacity=".4">', *sorted(set(points)), "</g>"]
        lines.append(f'<text x="52" y="{56 + 14 * i}" fill="{color}">{protocol}</text>')
    target.write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")


def main() -> int:
    """Run and print; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days-learned", default="4,14")
    parser.add_argument("--poll", type=float, default=90)
    parser.add_argument("--lapses", type=float, default=0)
    parser.add_argument("--protocols", default=",".join(TONGUES))
    parser.add_argument("--plot", dest="plots", type=Path, help="draw came against promised as SVG")
    options = parser.parse_args()
    learned = tuple(float(d) for d in options.days_learned.split(","))
    wanted = [(p, True) for p in options.protocols.split(",")] + [(p, False) for p in options.protocols.split(",")]
    results = [simulate(p, range(options.seeds), learned, weekly, options.poll, options.lapses) for p, weekly in wanted]
    cells, cover = [c for r in results for c in r[0]], [c for r in results for c in r[1]]
    print("\n".join(table(cells)), end="\n\n")
    print("\n".join(cover_table(cover)), end="\n\n")
    kinds: Counter[str] = Counter()
    for cell in cells:
        kinds.update(cell.kinds if cell.asked is not None else {})
    print("incidents under a budget, by kind:", dict(kinds.most_common()))
    for weekly in (True, False):
        told(
            f"{'with' if weekly else 'without'} weekly jobs",
            [c for c in cells if c.asked is not None and ("," in c.protocol) != weekly],
        )
        for unit in ADEQUACY_BLOCKS:
            for days in learned:
                mine = [c for c in cover if c.unit == unit and c.learned == days and ("," in c.protocol) != weekly]
                inside, of = sum(c.inside for c in mine), sum(len(c.came) for c in mine)
                print(f"  {days:g} days learned, a next {NAMES[unit]}: in the interval {inside} of {of}")
    if options.plots is not None:
        plot(cells, options.plots)
    judged = [c for c in cells if c.learned >= KNOWABLE or "," in c.protocol]
    promises, broken, beyond = (sum(v) for v in zip(*((len(c.promised), c.broken(), c.beyond()) for c in judged), strict=True))
    print(f"where the longest cycle was seen twice: {broken} of {promises} promises broken, {beyond} beyond chance")
    return int(beyond > 0.05 * promises)


if __name__ == "__main__":
    sys.exit(main())
