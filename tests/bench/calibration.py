"""Are the promises kept? Budgets against the false incidents that really come, and adequacy against what is really new.

usage: calibration.py [--seeds N] [--plots FOLDER]

Made-up plants say for weeks what plants say: polling, rare things of very different rates, kinds that never repeat themselves,
pages that an operator opens (many rows of several conversations at once), shifts, and a job that runs on Saturdays. Time is
compressed: only what is not polled is drawn, one row per occurrence, and counted into the tables that learning makes. What is
learned on the head is judged on the rest; every new row that is not muted would be cried at. Prints tables; --plots also draws
them (needs matplotlib, which nothing else here does). Exit code: 0 promises kept, 1 broken where they should not be.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation
from appliance.errors import UsageError
from appliance.learn.baselines.baseline import Baseline, Learned
from appliance.learn.counting.counts import ADEQUACY_BLOCKS, BLOCK, SECOND, RowTable, held_back
from appliance.learn.meaning.adequacy import adequacy_of
from appliance.learn.meaning.calibrate import Budget, budget
from appliance.learn.meaning.model import Calibration, Model, ServiceModel
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side, Structure, Template
from appliance.learn.messages.words import no_limits
from appliance.learn.site.topology import NUMBERS, stream_key
from appliance.learn.timing.pace import derive_pace
from appliance.learn.timing.rhythm import Rhythm

DAY = 86_400 * SECOND
MONDAY = 1_700_438_400 * SECOND
STREAMS, KINDS, RARE_PER_KIND = 20, 12, 8
FRESH = (0.3, 3.0, 30.0)  # a day, of the last kinds: rows that never come again
PAGES, PAGES_PER_DAY = 300, 3.0
BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
AFTER = 200.0  # days in which false incidents are counted: long, so that their mean is what is measured
PORT = (6, 7001)
CONVERSATIONS = [Conversation((0, 0xFFFF0A000001), (0, 0xFFFF0A000100 + i), PORT) for i in range(STREAMS)]
KEYS = np.array([stream_key(c) for c in CONVERSATIONS], np.uint64)
Ints = npt.NDArray[np.int64]
UNITS = (BLOCK, *ADEQUACY_BLOCKS)
NAMES = {60: "1 min", 3600: "1 h", 86_400: "1 day"}


@dataclass(frozen=True)
class World:
    """What a plant does beside polling."""

    name: str
    pages: bool = False
    shifts: bool = False
    saturday: bool = False


WORLDS = (World("even"), World("pages", pages=True), World("shifts", pages=True, shifts=True), World("week", True, True, True))


@dataclass(frozen=True)
class Rows:
    """Occurrences in the order of time: ns, number of the row, of its conversation, of its kind; int64 [n]."""

    time: Ints
    row: Ints
    stream: Ints
    kind: Ints

    def take(self, use: npt.NDArray[np.bool_]) -> "Rows":
        return Rows(self.time[use], self.row[use], self.stream[use], self.kind[use])


def draw(world: World, days: float, seed: int) -> Rows:
    """What the plant says beside polling in so many days."""
    r = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float64]] = []  # columns: day, row, stream, kind
    for kind in range(KINDS):
        for i in range(RARE_PER_KIND):
            n, stream = r.poisson(days * 10 ** r.uniform(-1.5, 1.5)), int(r.integers(STREAMS))
            parts.append(_column(r.uniform(0, days, n), kind * 100 + i, stream, kind))
    for i, rate in enumerate(FRESH):
        n = r.poisson(days * rate)
        numbers = 1_000_000 * (i + 1) + np.arange(n)
        parts.append(np.stack([r.uniform(0, days, n), numbers, r.integers(0, STREAMS, n), np.full(n, KINDS - 1 - i)], axis=1))
    if world.pages:
        sizes, popular = r.geometric(0.2, PAGES), 1 / np.arange(1, PAGES + 1)
        homes, kinds = r.integers(0, STREAMS, (PAGES, sizes.max())), r.integers(0, KINDS - 3, PAGES)
        for day in r.uniform(0, days, r.poisson(days * PAGES_PER_DAY)):
            page = r.choice(PAGES, p=popular / popular.sum())
            for j in range(sizes[page]):
                parts.append(_column(np.array([day]), 10_000 + page * 100 + j, homes[page, j], kinds[page]))
    if world.saturday:
        for day in np.arange(5.1, days, 7):
            parts += [_column(np.array([day + i / 1000]), 50_000_000 + i, i % 5, 0) for i in range(15)]
    table = np.concatenate(parts)
    if world.shifts:
        hour, job = table[:, 0] % 1 * 24, table[:, 1] >= 50_000_000
        table = table[job | ((hour >= 6) & (hour < 22)) | (r.random(len(table)) < 0.1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Rows(MONDAY + (table[:, 0] * DAY).astype(np.int64), *(table[:, k].astype(np.int64) for k in (1, 2, 3)))


def _column(days: npt.NDArray[np.float64], row: int, stream: int, kind: int) -> npt.NDArray[np.float64]:
    return np.stack([days, *(np.full(len(days), float(v)) for v in (row, stream, kind))], axis=1)


def learned(rows: Rows, watched: int) -> Model:
    """The model that learning would make of it, with one polled row for each kind and conversation."""
    ids, index = np.unique(rows.row << 8 | rows.stream, return_inverse=True)
    head = np.unique(index, return_index=True)[1]
    n, polled = len(ids), STREAMS * KINDS
    numbers = _numbers(rows, index, n, polled, watched)
    stream = KEYS[np.r_[rows.stream[head], np.repeat(np.arange(STREAMS), KINDS)]]
    kind = np.r_[rows.kind[head], np.tile(np.arange(KINDS), STREAMS)].astype(np.int32)
    row = np.r_[ids + 1, np.arange(1, polled + 1) << 40].astype(np.uint64)
    size, nothing = n + polled, np.zeros(n + polled, np.uint64)
    nulls = np.zeros((size, WIDTH), np.uint8)
    table = RowTable(row, kind, np.zeros(size, np.int32), stream, nothing, nulls, numbers, no_limits(size))
    structure = Structure(templates=[Template(Side.REQUEST, np.ones(WIDTH, bool)) for _ in range(KINDS)])
    busy = np.array([max(1, watched // {"minutes": 60, "hours": 3600}.get(name, 86_400) // SECOND) for name in NUMBERS], np.int64)
    talks = dict.fromkeys(CONVERSATIONS, busy)
    baseline = Baseline(conversations=talks, services={PORT: {"simulated": Learned(structure, table)}}, watched=watched)
    calibration = Calibration(np.zeros((KINDS, WIDTH), bool), set(), set(), {})
    by_stream = {(int(k), False): np.flatnonzero(stream == k) for k in KEYS}
    counts = {key: int(numbers["count"][use].sum()) for key, use in by_stream.items()}
    known, sides = np.sort(row), np.zeros(KINDS, np.int8)
    noise, p_value = np.zeros(KINDS, bool), np.zeros(KINDS)
    common, pace = np.ones(KINDS, bool), derive_pace(Rhythm(), table)
    service = ServiceModel(
        structure, table, known, sides, by_stream, counts, calibration, noise, noise.copy(), p_value, common, pace, pace
    )
    return Model(baseline, {PORT: [service]}, {int(k): c for k, c in zip(KEYS, CONVERSATIONS, strict=True)})


def _numbers(rows: Rows, index: npt.NDArray[np.intp], n: int, polled: int, watched: int) -> dict[str, Ints]:
    """The counted columns of n drawn and the polled rows."""
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(first, index, rows.time)
    np.maximum.at(last, index, rows.time)
    numbers = {"first": np.r_[first, np.full(polled, MONDAY)], "last": np.r_[last, np.full(polled, MONDAY + watched)]}
    numbers["count"] = np.r_[np.bincount(index, minlength=n), np.full(polled, watched // SECOND)]
    for name, unit in zip(("blocks", "minutes", "hours", "days"), UNITS, strict=True):
        came = np.unique(np.stack([index, rows.time // unit]), axis=1)
        always = np.full(polled, max(1, watched // unit))
        if unit == BLOCK:
            stream = np.zeros(n, np.int64)
            stream[index] = rows.stream
            held = held_back(KEYS[stream[came[0]]], came[1])
            numbers["held"] = np.r_[np.bincount(came[0][held], minlength=n), always // 4]
            numbers["blocks"] = np.r_[np.bincount(came[0][~held], minlength=n), always - always // 4]
        else:
            numbers[name] = np.r_[np.bincount(came[0], minlength=n), always]
    return numbers


@dataclass(frozen=True)
class _Told:
    template: int


def cries(
    service: ServiceModel, head: npt.NDArray[np.uint8], length: int, stream: int, answers: bool, asked: int, template: int = -1
) -> _Told:
    """Detection that cries at every row it does not know."""
    return _Told(template)


def realised(past: Rows, future: Rows, found: Budget | None, days: float) -> float:
    """False incidents a day in the future: new rows of kinds that speak, once for each conversation and block."""
    muted = [c[2] for c in found.muted] if found is not None else []
    new = ~np.isin(future.row << 8 | future.stream, past.row << 8 | past.stream) & ~np.isin(future.kind, muted)
    return len(np.unique(np.stack([future.stream[new], future.time[new] // BLOCK]), axis=1).T) / days


@dataclass
class Line:
    """One cell of the first table, over the seeds."""

    world: str
    days: float
    asked: float
    refused: int
    promised: list[float]
    came: list[float]
    muted: list[int]

    def broken(self) -> float:
        """Share of the seeds in which more came than was promised."""
        return float(np.mean(np.array(self.came) > np.array(self.promised))) if self.came else 0.0


def budgets(world: World, days: float, seeds: int, after: float = AFTER) -> list[Line]:
    """Ask for every budget after so many days of learning; count what comes in the days after."""
    lines = [Line(world.name, days, asked, 0, [], [], []) for asked in BUDGETS]
    for seed in range(seeds):
        rows = draw(world, days + after, seed)
        end = MONDAY + round(days * DAY)
        past, future = rows.take(rows.time < end), rows.take(rows.time >= end)
        model = learned(past, round(days * DAY))
        for line in lines:
            try:
                found = budget(model, line.asked, cries)
            except UsageError:
                line.refused += 1
                continue
            line.promised.append(found.promised)
            line.muted.append(len(found.muted))
            line.came.append(realised(past, future, found, after))
    return lines


@dataclass
class Coverage:
    """One cell of the second table: intervals of the number of new rows in a next block, and what really came."""

    world: str
    days: float
    unit: int
    low: list[float]
    high: list[float]
    expected: list[float]
    came: list[float]

    def inside(self) -> float:
        """Share of the seeds in which what came on average lies in the interval."""
        low, high, came = (np.array(v) for v in (self.low, self.high, self.came))
        return float(np.mean((low <= came) & (came <= high)))


def coverage(world: World, days: float, seeds: int) -> list[Coverage]:
    """Intervals of adequacy after so many days against the mean of the blocks of the next 28 days."""
    found = {unit: Coverage(world.name, days, unit, [], [], [], []) for unit in ADEQUACY_BLOCKS}
    for seed in range(seeds):
        rows = draw(world, days + 28, seed)
        end = MONDAY + round(days * DAY)
        past, future = rows.take(rows.time < end), rows.take(rows.time >= end)
        new = future.take(~np.isin(future.row << 8 | future.stream, past.row << 8 | past.stream))
        for block in adequacy_of(learned(past, round(days * DAY))):
            cell = found[block.block_ns]
            if not block.knowable or block.messages is None:
                continue
            came = np.unique(np.stack([new.row << 8 | new.stream, new.time // block.block_ns]), axis=1)
            cell.came.append(came.shape[1] / (28 * DAY / block.block_ns))
            cell.low.append(block.messages.number_low)
            cell.high.append(block.messages.number_high)
            cell.expected.append(block.messages.number)
    return [cell for cell in found.values() if cell.came]


def plot(lines: list[Line], cells: list[Coverage], folder: Path) -> None:
    """Draw what came against what was promised, and the curve of adequacy."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore]

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(6, 4.5), dpi=80)
    for world, color in zip(WORLDS, ("#1b6ca8", "#2e8b57", "#d98200", "#b03060"), strict=True):
        mine = [line for line in lines if line.world == world.name]
        x, y = (np.concatenate([getattr(line, name) for line in mine] or [np.zeros(0)]) for name in ("promised", "came"))
        axes.plot(x, np.maximum(y, 0.01), ".", color=color, markersize=3, alpha=0.5, label=world.name)
    axes.plot([0.1, 100], [0.1, 100], color="#444444", linewidth=1)
    axes.set(
        xscale="log", yscale="log", xlabel="promised per day (upper limit, 95 %)", ylabel="came per day in the 200 days after"
    )
    axes.set_title("False incidents: below the line the promise is kept")
    axes.legend(markerscale=3)
    figure.tight_layout()
    figure.savefig(folder / "calibration.png")
    figure, axes = plt.subplots(figsize=(6, 4.5), dpi=80)
    for unit, color in zip(ADEQUACY_BLOCKS, ("#1b6ca8", "#2e8b57", "#d98200"), strict=True):
        mine_ = [c for c in cells if c.unit == unit and c.world == "shifts"]
        days = [c.days for c in mine_]
        low, high = ([max(1e-4, float(np.median(getattr(c, name)))) for c in mine_] for name in ("low", "high"))
        axes.fill_between(days, low, high, color=color, alpha=0.2)
        axes.plot(days, [np.mean(c.came) for c in mine_], "o-", color=color, label=f"next {NAMES[unit // SECOND]}: came")
        axes.plot(days, [np.mean(c.expected) for c in mine_], "--", color=color)
    axes.set(xscale="log", yscale="log", xlabel="days learned", ylabel="new rows in a next block")
    axes.set_title("Adequacy: expected (dashed), 90 % interval (median), came")
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "adequacy.png")


def main() -> int:
    """Run and print; 1 where a promise is broken that should be kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--plots", type=Path)
    options = parser.parse_args()
    lines = [line for world in WORLDS for days in (1.0, 4.0, 14.0) for line in budgets(world, days, options.seeds)]
    print(
        "| plant | days learned | asked | refused | muted of 12 | promised | came | broken |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for line in lines:
        if line.came:
            values = f"{np.mean(line.muted):.1f} | {np.median(line.promised):.2f} | {np.mean(line.came):.2f}"
            refused = f"{100 * line.refused / options.seeds:.0f} %"
            print(f"| {line.world} | {line.days:g} | {line.asked:g} | {refused} | {values} | {100 * line.broken():.0f} % |")
    cells = [c for world in WORLDS for days in (0.25, 1.0, 3.0, 14.0) for c in coverage(world, days, options.seeds)]
    print("\n| plant | days learned | next | expected | came | in the 90 % interval |\n|---|--:|---|--:|--:|--:|")
    for c in cells:
        name, values = NAMES[c.unit // SECOND], f"{np.mean(c.expected):.3g} | {np.mean(c.came):.3g}"
        print(f"| {c.world} | {c.days:g} | {name} | {values} | {100 * c.inside():.0f} % |")
    if options.plots is not None:
        plot(lines, cells, options.plots)
    kept = [line for line in lines if line.world != "week" and line.came]  # a week is more than half of 4 days: not knowable
    broken, promises = round(sum(line.broken() * len(line.came) for line in kept)), sum(len(line.came) for line in kept)
    print(f"\nbroken promises on plants without a weekly cycle: {broken} of {promises} ({100 * broken / promises:.1f} %)")
    return int(broken > 0.05 * promises)


if __name__ == "__main__":
    sys.exit(main())
