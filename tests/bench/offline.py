"""Offline throughput of Sekisho beside its peers: the same file, the same core, the same run, whole processes.

usage: offline.py [--case DIR...] [--frames N] [--learn-frames N] [--rounds R] [--core C] [--timeout S] [--json OUT]

DIR holds train.pcap and test.pcap of a clean case, grown (see capture.py) into a temporary folder: what is learned and what is
known traffic from train.pcap (other ports, later times), all-unknown payloads from test.pcap. Without --case
there are two: long connections, mostly payload (a peer that looks only at the head of a flow is fast there), and many
short ones. Peers and program take turns, so that a machine that slows down slows all of them; the slow peers run in the
first round only.
A run counts only if its exit code is one it may have and the frames it says it read are those in the file.
Exit code: 0 all that is here ran as it should, 1 something did not, 2 nothing to measure with.
"""

# Only the standard library, and little of it: the peak memory of a child can never read lower than that of its parent.
import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
SHARED = ROOT.parent / "shared" / "pcaps" / "cases"
LONG_FLOWS, SHORT_FLOWS = SHARED / "enip-clean", SHARED / "modbus-clean"
GOAL = 0.5  # of ndpiReader's packet rate


@dataclass(frozen=True, slots=True)
class Row:
    """One command to measure: what it may exit with, and how to read from its output the frames it read."""

    name: str
    command: list[str]
    frames: int
    count: Callable[[Path], int]
    needs: str = ""  # the Debian package that brings it
    codes: tuple[int, ...] = (0,)
    slow: bool = False


@dataclass(slots=True)
class Result:
    """What was measured of one row; seconds per run, peak resident memory in MB."""

    name: str
    frames: int
    seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    note: str = ""
    failed: bool = False

    @property
    def rate(self) -> float:
        """Frames per second by the median run; 0 where nothing ran."""
        return self.frames / statistics.median(self.seconds) if self.seconds else 0.0


def last_number(pattern: str) -> Callable[[Path], int]:
    """Reads the first group of the pattern from a program's output."""

    def count(output: Path) -> int:
        found = re.findall(pattern, output.read_text(errors="replace"), flags=re.M)
        return int(found[-1]) if found else -1

    return count


def lines(output: Path) -> int:
    """Lines of the output."""
    with output.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def summary(output: Path) -> int:
    """`frames` of the summary, which is the last record of a run that was not cut short."""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - (1 << 16)))
        tail = file.read().splitlines() or [b""]
    try:
        record = json.loads(tail[-1])
    except ValueError:
        return -1
    return int(record["frames"]) if record.get("type") == "summary" else -1


def environment(scratch: Path) -> dict[str, str]:
    """Bytecode is kept from the first run on, as after an installation, also where the machine's settings forbid it."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}


def run(row: Row, scratch: Path, timeout: float) -> tuple[float, float, str]:
    """Seconds, peak MB and, where the run does not count, why."""
    output, errors = scratch / "stdout", scratch / "stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        start = time.perf_counter()
        child = subprocess.Popen(row.command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment(scratch))
        deadline = start + timeout
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            seconds = time.perf_counter() - start
            if pid:
                break
            if time.perf_counter() > deadline:
                child.kill()
                os.wait4(child.pid, 0)
                child.returncode = -9
                return seconds, 0.0, f"did not end within {timeout:.0f} s"
            time.sleep(0.005)
    child.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in row.codes:
        words = errors.read_text(errors="replace").strip().splitlines() or [""]
        return seconds, 0.0, f"exit code {code}: {words[-1][:160]}"
    if (counted := row.count(output)) != row.frames:
        return seconds, 0.0, f"read {counted} frames of {row.frames}"
    return seconds, usage.ru_maxrss / 1024, ""


def build(source: Path, out: Path, frames: int, *more: str) -> tuple[int, int]:
    """Grows a capture in a process of its own; frames written, frames with payload."""
    command = [sys.executable, str(HERE / "capture.py"), str(source), str(out), "--frames", str(frames), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    written, carrying = map(int, done.stdout.split())
    return written, carrying


def rows(folder: Path, learn: int, known: int, unknown: int) -> list[Row]:
    """Everything that is measured, the program first."""
    sekisho = str(Path(sys.executable).parent / "sekisho")
    train, test, noise, base = (str(folder / n) for n in ("train.pcap", "test.pcap", "unknown.pcap", "baseline"))
    detect = ["--baseline", base, "--format", "jsonl"]
    python = [sys.executable, str(HERE / "peers.py")]
    fields = [x for f in ("frame.number", "ip.src", "ip.dst", "tcp.dstport", "tcp.len") for x in ("-e", f)]
    return [
        Row("sekisho learn", [sekisho, "learn", train, "--baseline", base, "--replace"], learn, lambda _: learn),
        Row("sekisho detect, known", [sekisho, "detect", test, *detect], known, summary, codes=(0, 1)),
        Row("sekisho detect, all unknown", [sekisho, "detect", noise, *detect], unknown, summary, codes=(0, 1)),
        Row("ndpiReader", ["ndpiReader", "-i", test], known, last_number(r"IP packets:\s+\d+\s+of (\d+)"), "libndpi-bin"),
        Row("capinfos", ["capinfos", "-M", "-c", test], known, last_number(r"packets:\s+(\d+)"), "wireshark-common"),
        Row("dpkt raw", [*python, "raw", test], known, last_number(r"(\d+)")),
        Row("dpkt decode", [*python, "decode", test], known, last_number(r"(\d+)"), slow=True),
        Row("tshark -T fields", ["tshark", "-n", "-r", test, "-T", "fields", *fields], known, lines, "tshark", slow=True),
    ]


def measure(todo: list[Row], rounds: int, scratch: Path, timeout: float) -> list[Result]:
    """Runs all rows in turn, round after round; a row that failed once is not run again."""
    results = {row.name: Result(row.name, row.frames) for row in todo}
    for number in range(rounds):
        for row in todo:
            result = results[row.name]
            if result.note or (row.slow and number):
                continue
            if shutil.which(row.command[0]) is None:
                result.note = f"not here: apt-get install {row.needs}" if row.needs else f"not here: {Path(row.command[0]).name}"
                result.failed = not row.needs
                continue
            seconds, peak, result.note = run(row, scratch, timeout)
            result.failed = bool(result.note)
            if not result.failed:
                result.seconds.append(seconds)
                result.peak_mb = max(result.peak_mb, peak)
    return list(results.values())


def machine(core: int) -> dict[str, str | int]:
    """What the figures were taken on."""
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), flags=re.M)
    named = models[0] if models else platform.machine()
    return {
        "cpu": named,
        "cores": os.cpu_count() or 0,
        "core": core,
        "kernel": platform.release(),
        "python": sys.version.split()[0],
    }


def table(results: list[Result], floor: float) -> str:
    """The results for people; ratios are to ndpiReader."""
    head = f"{'':28} {'frames':>9} {'packets/s':>12} {'seconds (min median max)':>26} {'peak MB':>8} {'x nDPI':>7}"
    out = [head]
    for r in results:
        if not r.seconds:
            out.append(f"{r.name:28} {r.frames:9}  {r.note}")
            continue
        spread = f"{min(r.seconds):8.2f} {statistics.median(r.seconds):8.2f} {max(r.seconds):8.2f}"
        ratio = f"{r.rate / floor:7.2f}" if floor else "      -"
        out.append(f"{r.name:28} {r.frames:9} {r.rate:12,.0f} {spread:>26} {r.peak_mb:8.0f} {ratio}")
    return "\n".join(out)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = [case for case in (LONG_FLOWS, SHORT_FLOWS, *sorted((ROOT / "pcaps").glob("*"))) if (case / "train.pcap").is_file()]
    parser.add_argument("--case", type=Path, nargs="+", default=cases[:2])
    parser.add_argument("--frames", type=int, default=500_000)
    parser.add_argument("--learn-frames", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def bench(case: Path, wanted: argparse.Namespace) -> tuple[dict[str, object], bool]:
    """Builds, measures and prints one case; its record, and whether something failed."""
    with tempfile.TemporaryDirectory(prefix="sekisho-bench-") as name:
        folder = Path(name)
        learn, _ = build(case / "train.pcap", folder / "train.pcap", wanted.learn_frames)
        known, carrying = build(case / "train.pcap", folder / "test.pcap", wanted.frames, "--first-copy", "100")
        more = ("--first-copy", "100", "--random-payload")
        unknown, _ = build(case / "test.pcap", folder / "unknown.pcap", wanted.frames, *more)
        size_mb = (folder / "test.pcap").stat().st_size / 1e6
        print(
            f"{case.name}: {known} frames, {carrying / known:.0%} with payload, {size_mb:.0f} MB; core {wanted.core}", flush=True
        )
        os.sched_setaffinity(0, {wanted.core})
        results = measure(rows(folder, learn, known, unknown), wanted.rounds, folder, wanted.timeout)
    floor = next((r.rate for r in results if r.name == "ndpiReader"), 0.0)
    print(table(results, floor))
    detect = next(r.rate for r in results if r.name == "sekisho detect, known")
    if floor and detect:
        print(f"goal: detect, known >= {GOAL} x ndpiReader: {'reached' if detect >= GOAL * floor else 'not reached'}")
    rates = [asdict(r) | {"packets_per_second": r.rate, "ratio_to_ndpi": r.rate / floor if floor else None} for r in results]
    record = {"case": case.name, "frames": known, "payload_share": carrying / known, "results": rates}
    return record, any(r.failed for r in results)


def main() -> int:
    """Measures all cases, writes the record; the exit code."""
    wanted = arguments()
    if not wanted.case:
        print("bench: no case with train.pcap and test.pcap; next step: offline.py --case DIR", file=sys.stderr)
        return 2
    done = [bench(case, wanted) for case in wanted.case]
    if wanted.json:
        record = {"machine": machine(wanted.core), "cases": [record for record, _ in done]}
        wanted.json.write_text(json.dumps(record, indent=2) + "\n")
    return int(any(failed for _, failed in done))


if __name__ == "__main__":
    sys.exit(main())
