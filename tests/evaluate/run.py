"""Carries out the measurements; nothing here prints or writes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.decode.conversation import Port
from appliance.errors import SekishoError
from tests.evaluate import suites
from tests.evaluate.cases import CaseScore, case_folders, score
from tests.evaluate.coverage import Coverage, coverage
from tests.evaluate.detectors import Detector, Sekisho, UnseenValues, Whitelist
from tests.evaluate.mutate import Repetition, Tally, measure, repetition
from tests.order_time import score as order_time
from tests.order_time.changes import CLASSES
from tests.order_time.others import others
from tests.order_time.plants import LAB, SHARED, Plant, made, recorded
from tests.order_time.score import Row as OrderRow

PER_CLASS, QUICK_PER_CLASS = 50, 10
PER_ORDER, QUICK_PER_ORDER = 10, 2  # each judges the whole capture anew
REPEATS, ENOUGH = 0.9, 100  # share of known messages in the rest, messages learned: from which on a floor holds
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """Changes in one capture: a tally per detector."""

    subject: suites.Subject
    protocol: str
    learned: int
    repeats: Repetition
    tallies: dict[str, Tally]

    @property
    def note(self) -> str:
        """Why its figures have no floor, "" where they have one."""
        if self.repeats.learned < ENOUGH:
            return f"{self.repeats.learned} messages learned"
        return "" if self.repeats.share >= REPEATS else f"{self.repeats.share:.0%} repeat"


@dataclass(frozen=True)
class Timed:
    """Order and time on one plant: a row per class, findings in its clean half and in worse readings of it."""

    plant: str
    rows: dict[str, OrderRow]
    clean: dict[str, int]


@dataclass
class Results:
    """All that the page tells.

    cases     set of cases ("lab", "shared") -> scores per case and detector
    measured  changes, own captures first
    timed     order and time, a plant each; `per_order` changes of a class and plant
    covered   protocol -> what was seen of it
    left_out  what there was no time for
    """

    quick: bool
    per_class: int
    seed: int
    with_shared: bool
    cases: dict[str, list[dict[str, CaseScore]]] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    per_order: int = 0
    left_out: list[str] = field(default_factory=list)
    covered: dict[str, list[Coverage]] = field(default_factory=dict)

    def skips(self, what: str, late: Callable[[], bool]) -> bool:
        """Whether there is no time left for something; notes it."""
        if late():
            self.left_out.append(what)
            return True
        return False

    @property
    def causes(self) -> Counter[tuple[str, str]]:
        """Cause given by true cause, over all cases, of Sekisho."""
        total: Counter[tuple[str, str]] = Counter()
        for scores in self.cases.values():
            for one in scores:
                total += one[Sekisho.name].causes
        return total


def detectors() -> list[Detector]:
    """Sekisho first, then the baselines."""
    return [Sekisho(), Whitelist(), UnseenValues()]


def evaluate(pcaps: Path | None, quick: bool, seed: int, say: Say, late: Callable[[], bool]) -> Results:
    """Measure everything; `pcaps` is the shared folder of captures, None without it.

    What is not begun once it is `late` is left out; the cases never are.
    """
    results = Results(quick, QUICK_PER_CLASS if quick else PER_CLASS, seed, pcaps is not None)
    for name, folder in [("lab", suites.ROOT / "pcaps")] + ([("shared", pcaps / "cases")] if pcaps is not None else []):
        say(f"cases: {name}")
        results.cases[name] = [score(case, detectors()) for case in case_folders(folder)]
    for subject in suites.own() + (suites.shared(pcaps) if pcaps is not None else []):
        if (subject.quick or not quick) and not results.skips(f"changes in {subject.name}", late):
            say(f"changes: {subject.name}")
            results.measured.append(_measure(subject, results.per_class, seed))
    results.per_order = QUICK_PER_ORDER if quick else PER_ORDER
    for plant in _plants(pcaps, quick, seed):
        if results.skips(f"order and time of {plant.name}", late):
            continue
        say(f"order and time: {plant.name}")
        rows, _ = order_time.score(plant, list(CLASSES), results.per_order, seed)
        results.timed.append(Timed(plant.name, rows, order_time.clean_variants(plant, seed)))
    if not quick and not results.skips("coverage", late):
        say("coverage")
        results.covered = _coverage(pcaps)
    return results


def _plants(pcaps: Path | None, quick: bool, seed: int) -> list[Plant]:
    plants = [*made(seed), *others(seed), *recorded(suites.ROOT / "pcaps", LAB)]
    if pcaps is not None and not quick:
        plants += recorded(pcaps / "cases", SHARED)
    return plants


def _measure(subject: suites.Subject, per_class: int, seed: int) -> Measured:
    head, rest = subject.parts()
    grammar = subject.grammar(head)
    return Measured(
        subject,
        grammar.name,
        len(head),
        repetition(head, rest, grammar),
        measure(detectors(), head, rest, grammar, per_class, seed),
    )


def _coverage(pcaps: Path | None) -> dict[str, list[Coverage]]:
    wanted = frozenset(port for _, ports in suites.PROTOCOLS for port in ports)
    by_port: dict[Port, list[Coverage]] = defaultdict(list)
    for one in _each(suites.coverage_files(pcaps), wanted):
        by_port[one.port].append(one)
    return {name: [c for port in sorted(ports) for c in by_port[port]] for name, ports in suites.PROTOCOLS}


def _each(paths: list[Path], wanted: frozenset[Port]) -> Iterator[Coverage]:
    for path in paths:
        try:
            yield from coverage(path, wanted)
        except (SekishoError, ValueError):
            continue  # a link type or a file that cannot be read has no coverage
