"""The words worker: the process in which third-party decoders eat hostile bytes.

It reads one JSON line per question from standard input and writes one JSON line per answer to standard output:
`{"id": 7, "payload": "0001..", "request": true, "ranges": [[7, 8]]}` -> `{"id": 7, "words": {..}}` or `{"id": 7, "error": ".."}`.
Memory and CPU time are limited by the kernel before the first byte is read; the wall clock is watched by the parent
(`appliance.host.sensor.words`). Started as `python -m appliance.host.sensor.words_worker MEMORY_BYTES CPU_SECONDS`.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any

from appliance.errors import WordsError
from appliance.protocols import Words
from appliance.protocols.decoders import words

Decode = Callable[[bytes, bool, Sequence[tuple[int, int]]], Words]

_LINE = 1 << 20  # characters of one question; the parent sends at most a few thousand


def limit(memory: int, cpu: int) -> None:
    """Bound this process for good: address space in bytes, no core, no file that can grow, no further processes.

    `cpu` seconds is what a single question may use; see `_grant`.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    _grant(cpu)


def _grant(cpu: int) -> None:
    """Move the soft CPU limit to what was used so far plus `cpu` seconds; the kernel kills at the limit (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + cpu, resource.RLIM_INFINITY))


def answer(line: str, decode: Decode) -> dict[str, Any]:
    """One question to one answer; whatever is wrong with either becomes an error text."""
    question = json.loads(line)
    ranges = [(int(first), int(end)) for first, end in question["ranges"]]
    try:
        said = decode(bytes.fromhex(question["payload"]), bool(question["request"]), ranges)
    except (WordsError, MemoryError) as error:
        return {"id": question["id"], "error": str(error)[:200] or "out of memory"}
    return {"id": question["id"], "words": said.to_json()}


def serve(source: IO[str], sink: IO[str], decode: Decode, cpu: int) -> None:
    """Answer until the source ends. A question that cannot be read ends the process: its parent is gone or broken."""
    while line := source.readline(_LINE):
        _grant(cpu)
        sink.write(json.dumps(answer(line, decode)) + "\n")
        sink.flush()


def main() -> None:
    """Limit this process, silence the libraries' logs (they quote hostile bytes), serve."""
    memory, cpu = int(sys.argv[1]), int(sys.argv[2])
    limit(memory, cpu)
    logging.disable(logging.CRITICAL)
    serve(sys.stdin, sys.stdout, words, cpu)


if __name__ == "__main__":
    main()
