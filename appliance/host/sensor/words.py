"""Asks the words worker, and survives it.

A third-party decoder that crashes, hangs, floods or eats memory costs its words and a count, never the finding: every
question has a time limit, every answer a size limit, a dead worker is started again a few times, and the whole run has a
cap on the seconds that words may cost. This process imports none of the decoders' libraries.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import appliance
from appliance.errors import WordsError
from appliance.protocols import Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_ANSWER = 64 * 1024  # bytes of one answer; the largest honest one is some 8 KiB
_RANGES = 64  # ranges sent with one question
_REMEMBERED = 1024  # answers kept: storms repeat themselves


@dataclass(frozen=True, slots=True)
class WordsLimits:
    """What words may cost.

    question_s  seconds of wall clock for one question; the first one of a protocol includes importing its library
    total_s     seconds of wall clock for all questions of a run; after that every answer is None at once
    cpu_s       seconds of CPU for one question, enforced by the kernel
    memory      bytes of address space of the worker, enforced by the kernel
    restarts    how often a dead worker is started again
    payload     bytes of a payload that are sent
    """

    question_s: float = 5.0
    total_s: float = 60.0
    cpu_s: int = 5
    memory: int = 512 * 1024 * 1024
    restarts: int = 8
    payload: int = 2048


@dataclass(slots=True)
class WordsCount:
    """What became of the questions: answered + refused + lost + skipped = asked (repeated ones are answered from memory).

    refused   the worker said that no decoder fits or the payload does not decode
    lost      the worker died, hung, flooded or wrote nonsense
    skipped   not asked: the time of the run or the restarts are used up
    deaths    workers that had to be ended or were found dead
    seconds   wall clock spent
    """

    asked: int = 0
    answered: int = 0
    refused: int = 0
    lost: int = 0
    skipped: int = 0
    deaths: int = 0
    seconds: float = 0.0


class WordsWorker:
    """One worker process, started by `begin` or at the first question. Use as a context manager, or call `close`.

    service   a socket where an init system starts a worker for every connection (its standard input and output are the
              connection); used while it is there, else a child is started
    command   what to start instead of the project's worker: a list of arguments, no shell. Tests start workers that
              misbehave; the protocol is the one of `appliance.host.sensor.words_worker`.
    """

    def __init__(
        self, limits: WordsLimits | None = None, command: Sequence[str] | None = None, service: Path | None = None
    ) -> None:
        self.limits = limits or WordsLimits()
        self.count = WordsCount()
        self._command = list(command) if command is not None else self._own_command()
        self._service = service
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: socket.socket | None = None
        self._starts = 0
        self._number = 0
        self._buffer = b""
        self._known: OrderedDict[tuple[bytes, bool, tuple[tuple[int, int], ...]], Words | None] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def words(self, payload: bytes, request: bool, ranges: Sequence[tuple[int, int]] = ()) -> Words | None:
        """Words for a payload, or None: no decoder fits, the worker failed, or the run's time is used up. Never raises.

        request  True when the client of the conversation sent it; ranges: half-open byte ranges to be named.
        """
        self.count.asked += 1
        key = (payload[: self.limits.payload], request, tuple((int(a), int(b)) for a, b in ranges[:_RANGES]))
        if key in self._known:
            self._known.move_to_end(key)
            self.count.answered += self._known[key] is not None
            self.count.refused += self._known[key] is None
            return self._known[key]
        began = time.monotonic()
        said = self._ask(key)
        self.count.seconds += time.monotonic() - began
        return said

    def begin(self) -> None:
        """Start the worker before the first question, so that it loads while something else is done. Never raises."""
        with contextlib.suppress(OSError, WordsError):  # the first question tries again, and counts it
            self._ends()

    def close(self) -> None:
        """End the worker. It can be asked again afterwards; a new one is started then."""
        process, self._process, self._buffer = self._process, None, b""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _own_command(self) -> list[str]:
        return [
            sys.executable,
            "-P",
            "-s",
            "-m",
            "appliance.host.sensor.words_worker",
            str(self.limits.memory),
            str(self.limits.cpu_s),
        ]

    def _ask(self, key: tuple[bytes, bool, tuple[tuple[int, int], ...]]) -> Words | None:
        if self.count.seconds >= self.limits.total_s or (not self._runs() and self._starts > self.limits.restarts):
            self.count.skipped += 1
            return None
        self._number += 1
        payload, request, ranges = key
        question = {"id": self._number, "payload": payload.hex(), "request": request, "ranges": ranges}
        try:
            said = self._answer(self._exchange(json.dumps(question).encode() + b"\n"))
        except (WordsError, OSError, ValueError, RecursionError):
            self.count.lost += 1
            self.count.deaths += 1
            self.close()
            return None
        self.count.answered += said is not None
        self.count.refused += said is None
        self._known[key] = said
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return said

    def _answer(self, line: bytes) -> Words | None:
        """Words, or None where the worker says why there are none. Raises WordsError or ValueError on nonsense."""
        data = json.loads(line)
        if not isinstance(data, dict) or data.get("id") != self._number:
            raise WordsError("words worker: the answer belongs to no question; the worker is ended")
        return None if "error" in data else Words.from_json(data.get("words"))

    def _runs(self) -> bool:
        return self._process is not None or self._peer is not None

    def _exchange(self, question: bytes) -> bytes:
        """Send a line, wait for a line. Raises WordsError when the worker is late, floods or is gone."""
        asked, answers = self._ends()
        deadline = time.monotonic() + min(self.limits.question_s, self.limits.total_s - self.count.seconds)
        if os.write(asked, question) != len(question):
            raise WordsError("words worker: does not read its questions; the worker is ended")
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([answers], [], [], left)[0]:
                raise WordsError("words worker: no answer in time; the worker is ended")
            piece = os.read(answers, _ANSWER)
            if not piece:
                raise WordsError("words worker: died over a payload; the next question starts a new one")
            self._buffer += piece
            if len(self._buffer) > _ANSWER:
                raise WordsError("words worker: the answer does not end; the worker is ended")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ends(self) -> tuple[int, int]:
        """Descriptors to write to and to read from, of the worker that runs or of a new one. Raises OSError, WordsError."""
        if not self._runs() and self._service is not None and self._service.exists():
            self._starts += 1
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            peer.setblocking(False)  # a service that does not accept must not stop this process
            self._peer = peer
            peer.connect(str(self._service))
        if self._peer is not None:
            return self._peer.fileno(), self._peer.fileno()
        process = self._running()
        if process.stdin is None or process.stdout is None:
            raise WordsError("words worker: started without pipes; the worker is ended")
        return process.stdin.fileno(), process.stdout.fileno()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._starts += 1
        # Nothing of this process's environment reaches the worker but what Python needs to find the package.
        package = str(Path(appliance.__file__).resolve().parent.parent)
        environment = {"PYTHONPATH": package, "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(  # noqa: S603  # a fixed list of arguments, no shell
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            cwd="/",
            close_fds=True,
        )
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)  # a worker that does not read must not stop this process
        return self._process
