"""The words worker: real processes that answer, hang, flood, die and lie."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from appliance.host.sensor.words import WordsLimits, WordsWorker
from appliance.host.sensor.words_worker import answer
from appliance.protocols import Intent, Words
from appliance.protocols.decoders import words as decode

WRITE_COIL = bytes.fromhex("00010000000601050002ff00")
REINITIALIZE = bytes.fromhex("810a000c0104000511400900")
LOCK = bytes.fromhex(
    "7000210000010212000000000000000000000000000000000000000001000200a1000400016b0700b1000d001a1c4b04208e24012074240101"
)
SHORT = WordsLimits(question_s=0.5, restarts=1)


def worker_that(tmp_path: Path, body: str, limits: WordsLimits = SHORT) -> WordsWorker:
    """A worker whose decoder does `body`; the pipes, the limits and the process are the project's own."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import itertools, json, os, sys, time\n"
        "from appliance.host.sensor.words_worker import limit, serve\n"
        "from appliance.protocols.decoders import words as honest\n"
        f"limit({limits.memory}, {limits.cpu_s})\n"
        f"def decode(payload, request, ranges):\n{body}\n"
        f"serve(sys.stdin, sys.stdout, decode, {limits.cpu_s})\n"
    )
    return WordsWorker(limits, [sys.executable, "-P", "-s", str(script)])


def test_real_worker_gives_words_of_three_protocols() -> None:
    pytest.importorskip("pymodbus")
    with WordsWorker(WordsLimits(question_s=30)) as worker:
        modbus = worker.words(WRITE_COIL, True, [(7, 8)])
        assert modbus is not None
        assert (modbus.summary, modbus.intent) == ("Write Single Coil, unit 1, address 2 := ON", Intent.WRITE)
        assert [(f.name, f.first, f.end) for f in modbus.fields] == [("function code", 7, 8)]
        said = worker.words(LOCK, True)
        assert said is not None
        assert (said.service, said.intent) == ("Lock Controller", Intent.PROGRAM)
        assert worker.words(b"GET / HTTP/1.1\r\n\r\n", True) is None
        assert (worker.count.answered, worker.count.refused, worker.count.lost) == (2, 1, 0)


def test_same_question_is_answered_from_memory(tmp_path: Path) -> None:
    with worker_that(
        tmp_path, "    time.sleep(0.2); return honest(payload, request, ranges)", WordsLimits(question_s=30)
    ) as worker:
        first = worker.words(WRITE_COIL, True, [(7, 8)])
        spent = worker.count.seconds
        assert first == worker.words(WRITE_COIL, True, [(7, 8)])
        assert worker.count.seconds == spent
        assert worker.count.answered == 2


@pytest.mark.parametrize(
    "body",
    [
        "    time.sleep(60)",
        "    sys.stdout.write('x' * 1000000); sys.stdout.flush()",
        "    for _ in itertools.repeat(0): sys.stdout.write('x'); sys.stdout.flush()",
        "    os._exit(3)",
        "    print(json.dumps({'id': 999, 'words': None}), flush=True); time.sleep(60)",
        "    print('no json', flush=True); time.sleep(60)",
        "    print('[1]', flush=True); time.sleep(60)",
        "    print('[' * 50000, flush=True); time.sleep(60)",
        "    return 7",
        "    raise KeyError(payload)",
    ],
    ids=["hangs", "floods", "dribbles", "dies", "wrong-id", "no-json", "no-object", "deep", "wrong-type", "crashes"],
)
def test_bad_decoder_costs_its_words_and_little_time(tmp_path: Path, body: str) -> None:
    with worker_that(tmp_path, body) as worker:
        began = time.monotonic()
        assert worker.words(WRITE_COIL, True, [(7, 8)]) is None
        assert time.monotonic() - began < 5
        assert (worker.count.lost, worker.count.deaths) == (1, 1)


def test_next_payload_gets_its_words_after_a_hang(tmp_path: Path) -> None:
    body = "    if payload == b'hang': time.sleep(60)\n    return honest(payload, request, ranges)"
    with worker_that(tmp_path, body, WordsLimits(question_s=3, restarts=2)) as worker:
        assert worker.words(b"hang", True) is None
        assert worker.words(WRITE_COIL, True) is not None
        assert worker.count.deaths == 1


def test_memory_is_limited_and_the_worker_lives_on(tmp_path: Path) -> None:
    body = "    return honest(bytes(1 << 32) if payload == b'big' else payload, request, ranges)"
    with worker_that(tmp_path, body, WordsLimits(question_s=30)) as worker:
        assert worker.words(b"big", True) is None
        assert worker.words(WRITE_COIL, True) is not None
        assert (worker.count.refused, worker.count.deaths) == (1, 0)


def test_busy_loop_is_ended_by_the_kernel(tmp_path: Path) -> None:
    with worker_that(tmp_path, "    while True: pass", WordsLimits(question_s=30, cpu_s=1, restarts=0)) as worker:
        assert worker.words(WRITE_COIL, True) is None
        assert worker.count.seconds < 25


def test_dead_workers_are_not_started_for_ever(tmp_path: Path) -> None:
    with worker_that(tmp_path, "    os._exit(1)") as worker:
        for number in range(6):
            assert worker.words(bytes([number]), True) is None
        assert (worker.count.lost, worker.count.skipped) == (2, 4)


def test_run_has_a_cap_on_seconds(tmp_path: Path) -> None:
    with worker_that(tmp_path, "    time.sleep(60)", WordsLimits(question_s=0.4, total_s=0.6, restarts=99)) as worker:
        began = time.monotonic()
        for number in range(50):
            worker.words(bytes([number]), True)
        assert time.monotonic() - began < 5
        assert worker.count.skipped >= 47


def test_worker_that_does_not_read_is_noticed() -> None:
    with WordsWorker(SHORT, [sys.executable, "-c", "import time; time.sleep(60)"]) as worker:
        assert worker.words(WRITE_COIL, True, [(n, n + 1) for n in range(5000)]) is None
        assert worker.count.lost == 1


def test_program_that_cannot_start_costs_words_only() -> None:
    with WordsWorker(SHORT, ["/nonexistent/python"]) as worker:
        assert worker.words(WRITE_COIL, True) is None
        assert worker.count.lost == 1


def test_a_worker_that_was_begun_early_is_the_one_that_is_asked() -> None:
    pytest.importorskip("pymodbus")
    with WordsWorker(WordsLimits(question_s=30)) as worker:
        worker.begin()
        early = worker._process
        assert early is not None
        assert worker.words(WRITE_COIL, True) is not None
        assert worker._process is early
        assert worker.count.deaths == 0


def test_a_worker_that_cannot_be_begun_is_no_trouble_before_it_is_asked() -> None:
    with WordsWorker(SHORT, ["/nonexistent/python"]) as worker:
        worker.begin()
        assert worker.words(WRITE_COIL, True) is None
        assert worker.count.lost == 1


def test_answer_survives_the_pipe() -> None:
    pytest.importorskip("pymodbus")
    line = json.dumps({"id": 1, "payload": WRITE_COIL.hex(), "request": True, "ranges": [[7, 8], [10, 12]]})
    said = json.loads(json.dumps(answer(line, decode)))
    assert Words.from_json(said["words"]) == decode(WRITE_COIL, True, [(7, 8), (10, 12)])


def test_asking_process_imports_no_decoder_library() -> None:
    code = (
        "import sys, appliance.host.sensor.words, appliance.protocols, appliance.explain\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pymodbus', 'cpppo', 'bacpypes3'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Service:
    """What an init system does with `Accept=yes`: a worker for every connection, which is its standard input and output."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(4)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        command = [sys.executable, "-P", "-s", "-m", "appliance.host.sensor.words_worker", str(512 << 20), "5"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                self.workers.append(subprocess.Popen(command, stdin=peer.fileno(), stdout=peer.fileno(), env=environment))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for worker in self.workers:
            worker.kill()
            worker.wait()


def test_a_service_is_asked_where_there_is_one_and_a_killed_worker_costs_one_answer(tmp_path: Path) -> None:
    pytest.importorskip("pymodbus")
    service = Service(tmp_path / "words.sock")
    nobody = ["/nonexistent/python"]
    try:
        with WordsWorker(WordsLimits(question_s=30), nobody, tmp_path / "words.sock") as worker:
            said = worker.words(WRITE_COIL, True, [(7, 8)])
            assert said is not None
            assert said.intent is Intent.WRITE
            service.workers[0].kill()
            service.workers[0].wait()
            assert worker.words(LOCK, True) is None
            again = worker.words(WRITE_COIL, True)
            assert again is not None
            assert (len(service.workers), worker.count.lost) == (2, 1)
        assert service.workers[1].wait(10) == 0, "it ends with its connection"
    finally:
        service.close()


def test_a_service_that_went_away_costs_words_only_and_a_child_is_started_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "words.sock").touch()
    with WordsWorker(SHORT, service=tmp_path / "words.sock") as worker:
        assert worker.words(WRITE_COIL, True) is None
        assert worker.count.lost == 1
    pytest.importorskip("pymodbus")
    with WordsWorker(WordsLimits(question_s=30), service=tmp_path / "nowhere.sock") as worker:
        assert worker.words(WRITE_COIL, True) is not None
