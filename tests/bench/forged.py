"""Ten million forged addresses beside a known plant: memory, incidents, and whether the plant is still watched.

usage: forged.py [--frames N]

Learns a made-up plant, then pipes its frames with forged ones between them into `sekisho detect -`: every forged frame is a
datagram or an opening from an address that nobody ever had. In the last second a known client writes what it never wrote.
Prints one JSON line. Exit code: 0 under 200 MB, at most a handful of incidents and the write found; else 1.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from struct import pack

import numpy as np

from tests.unit.dialogue import START, Frames, Plant
from tests.unit.frames import SECOND

LIMIT_MB, MOST_INCIDENTS = 200, 20
BLOCK = 50_000
RECORD = np.dtype([("sec", "<u4"), ("nsec", "<u4"), ("cap", "<u4"), ("wire", "<u4"), ("frame", "u1", (60,))])


def head() -> bytes:
    return pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)


def record(at: int, raw: bytes) -> bytes:
    return pack("<IIII", at // SECOND, at % SECOND, len(raw), len(raw)) + raw


def forged(count: int, begin: int, step: int, seed: int) -> bytes:
    """Records of so many frames, TCP openings and datagrams in turn, from anywhere to random addresses of the plant's net."""
    r = np.random.default_rng(seed)
    rows = np.zeros(count, RECORD)
    at = begin + np.arange(count, dtype=np.int64) * step
    rows["sec"], rows["nsec"], rows["cap"], rows["wire"] = at // SECOND, at % SECOND, 60, 60
    f = rows["frame"]
    f[:, 0:6], f[:, 6], f[:, 7:12] = (2, 0, 10, 0, 0, 11), 2, r.integers(0, 256, (count, 5))
    f[:, 12:14], f[:, 14], f[:, 17], f[:, 22] = (8, 0), 0x45, 46, 64
    f[:, 23] = np.where(np.arange(count) % 2, 6, 17)
    f[:, 26:30] = r.integers(1, 224, (count, 4))
    f[:, 30:33], f[:, 33] = (10, 0, 0), r.integers(1, 255, count)
    f[:, 34:38] = r.integers(0, 256, (count, 4))
    udp = f[:, 23] == 17
    f[udp, 39] = 26
    f[~udp, 38:42] = r.integers(0, 256, (int(np.count_nonzero(~udp)), 4))
    f[~udp, 46], f[~udp, 47] = 0x50, 0x02
    return rows.tobytes()


def capture(frames: Frames) -> bytes:
    return b"".join(record(at, raw) for at, raw in frames)


def odd(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    """The last request of the first device is one that was never asked."""
    return payload[:7] + b"\x5a" + payload[8:] if asks and d == 0 and n == 600 - 5 else payload


def run(count: int) -> dict[str, object]:
    """Measure one run."""
    with tempfile.TemporaryDirectory() as folder:
        learned, baseline = Path(folder) / "learn.pcap", Path(folder) / "baseline"
        learned.write_bytes(head() + capture(Plant(1).run(600).sorted()))
        command = [sys.executable, "-m", "appliance"]
        subprocess.run([*command, "learn", str(learned), "--baseline", str(baseline)], check=True, stdout=subprocess.DEVNULL)
        frames = Plant(2, edit=odd).run(600).sorted()
        out = Path(folder) / "out.jsonl"
        before = time.monotonic()
        with out.open("wb") as sink:
            options = ["--baseline", str(baseline), "--format", "jsonl"]
            child = subprocess.Popen([*command, "detect", "-", *options], stdin=subprocess.PIPE, stdout=sink)
            assert child.stdin is not None
            child.stdin.write(head())
            blocks = max(1, -(-count // BLOCK))
            length = (frames[-1][0] - START) // blocks
            for b in range(blocks):
                begin, end = START + b * length, START + (b + 1) * length if b + 1 < blocks else frames[-1][0] + 1
                mine = [f for f in frames if begin <= f[0] < end]
                n = min(BLOCK, count - b * BLOCK)
                for part in range(10):  # the plant's frames between the forged ones
                    size = n // 10
                    child.stdin.write(
                        forged(size, begin + part * (length // 10), max(1, length // 10 // max(1, size)), b * 10 + part)
                    )
                    low, high = begin + part * (length // 10), begin + (part + 1) * (length // 10) if part < 9 else end
                    child.stdin.write(capture([f for f in mine if low <= f[0] < high]))
            child.stdin.close()
            code = child.wait(timeout=3600)
        seconds = time.monotonic() - before
        records = [json.loads(line) for line in out.read_text().splitlines()]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        odd_ones = [r for r in records if r["type"] == "finding" and r["kind"] == "unknown-command"]
        return {
            "forged": count,
            "exit": code,
            "seconds": round(seconds, 1),
            "peak_mb": round(peak, 1),
            "incidents": sum(r["type"] == "incident" for r in records),
            "findings": sum(r["type"] == "finding" for r in records),
            "write_found": bool(odd_ones),
            "titles": [r["title"] for r in records if r["type"] == "incident"][:8],
            "start": START,
        }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000_000)
    options = parser.parse_args()
    result = run(options.frames)
    print(json.dumps(result, ensure_ascii=False))
    good = float(str(result["peak_mb"])) < LIMIT_MB and int(str(result["incidents"])) <= MOST_INCIDENTS and result["write_found"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
