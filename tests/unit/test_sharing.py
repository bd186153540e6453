"""What shares and the sensor say to each other comes back as it was said, or is refused; a share that lies or hangs is ended."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.errors import LiveError
from appliance.host.sensor.relay import Relay
from appliance.host.sensor.shares import Shares
from appliance.host.sensor.sharing import MOST, Channel, finding_of, frames_heard, frames_said, number_of, numbered, plain_of
from appliance.packets.frames import Frames

FOUND = Finding(
    7, 10**18, "10.0.0.1", "fe80::1", "10.0.0.1", "tcp/502", Kind.UNKNOWN_VALUE, ((7, 8), (9, 11)), b"\0\1\2", (b"\3", b""), 0.25,
    bytes(1500), 3, "5f0c:row:00e1",
)  # fmt: skip


def frames(count: int, size: int = 60) -> Frames:
    captured = np.full(count, size, np.int32)
    numbers = np.arange(1, count + 1, dtype=np.int64)
    return Frames(numbers, numbers * 1000, captured, captured.copy(), np.ones(count, np.uint16), np.zeros(count * size, np.uint8))


def ends() -> tuple[Channel, Channel]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)


@pytest.mark.parametrize("finding", [FOUND, Finding(None, 5, "a", "b", "a", "ip/1", Kind.SILENCE)])
def test_a_finding_comes_back_as_it_was(finding: Finding) -> None:
    ours, theirs = ends()
    assert ours.say({"type": "found", "found": [[1, plain_of(finding)]]})
    heard = theirs.hear()
    assert heard is not None
    [(plain, more, descriptors)] = heard
    assert [(number, finding_of(said)) for number, said in numbered(plain["found"])] == [(1, finding)]
    assert (more, descriptors) == (b"", [])
    ours.close()
    assert theirs.hear() is None
    theirs.close()


WRONG = [
    {"frame": "7"}, {"frame": -1}, {"time_ns": 1.5}, {"kind": "nonsense"}, {"kind": ["scan"]}, {"ranges": [[1]]},
    {"ranges": 4},
    {"seen": "zz"},
    {"normal": [3]}, {"payload": "00" * 70_000}, {"score": float("nan")}, {"score": 7}, {"src": "x" * 5000},
    {"more": 1},
    {"count": True},
]  # fmt: skip


@pytest.mark.parametrize("changed", WRONG, ids=str)
def test_a_finding_that_is_none_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(LiveError, match="a finding that is none"):
        finding_of(plain_of(FOUND) | changed)


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_whatever_stands_there_is_a_finding_or_refused(said: object) -> None:
    for read in (finding_of, numbered, lambda x: number_of({"key": x}, "key")):
        try:
            read(said)
        except LiveError:
            continue


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xff\xff\xff", b"\2\0\0\0[]", b"\2\0\0\0{}", b"\5\0\0\0{1:2}", b"\xc8\0\0\0" + b"[" * 200]
)
def test_a_message_that_is_none_is_refused(raw: bytes) -> None:
    ours, theirs = ends()
    ours.socket.send(raw or b"\0")
    with pytest.raises(LiveError, match="a message that is none"):
        theirs.hear()
    ours.close()
    theirs.close()


def test_frames_come_back_in_pieces_with_numbers_of_their_share(tmp_path: Path) -> None:
    ours, theirs = ends()
    sent = frames(3000)
    relay = Relay(tmp_path, 0, ours, share=1, shares=4)
    relay.put("i-1-2", sent)
    parts: list[Frames] = []
    while len(parts) < 10 and ours.push() | bool(heard := theirs.hear()):
        parts += [frames_heard(more, plain["frames"]) for plain, more, _ in heard or []]
    whole = Frames.chain(parts)
    assert len(parts) > 2
    assert whole.number.tolist() == [4 * n + 2 for n in range(3000)]
    assert (whole.time == sent.time).all()
    assert whole.data.size == sent.data.size
    ours.close()
    theirs.close()


def test_frames_that_are_none_are_refused() -> None:
    good = frames_said(frames(3))
    for raw, count in (
        (good, 2),
        (good, 4),
        (good[:-1], 3),
        (good, 0),
        (good, -1),
        (good, 1 << 40),
        (b"", 1),
        (b"\xff" * len(good), 3),
    ):
        with pytest.raises(LiveError):
            frames_heard(raw, count)


def test_what_finds_no_room_is_counted_and_nobody_waits() -> None:
    ours, theirs = ends()
    begin = time.monotonic()
    while ours.say({"type": "state"}, bytes(MOST - 100)):
        assert time.monotonic() - begin < 10
    assert ours.lost == 1
    assert not ours.say({"type": "state"}, bytes(MOST))
    ours.close()
    theirs.close()


def hear_all(shares: Shares, seconds: float = 60) -> None:
    import select

    end = time.monotonic() + seconds
    while shares.descriptors() and time.monotonic() < end:
        shares.hear(select.select(shares.descriptors(), [], [], 0.2)[0])


def played(monkeypatch: pytest.MonkeyPatch, script: str) -> tuple[Shares, list[str]]:
    """One share that runs a script: `say(plain)` sends."""
    head = (
        "import sys, socket; sys.path.insert(0, sys.argv[2]); from appliance.host.sensor.sharing import Channel\n"
        "channel = Channel(socket.socket(fileno=int(sys.argv[1]))); say = channel.say\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setattr(
        "appliance.host.sensor.shares.module", lambda name, *given: [sys.executable, "-c", head + script, given[-1], root]
    )
    notes: list[str] = []
    shares = Shares(
        "nowhere", 1, dict(os.environ), notes.append, lambda incident, frames: notes.append(f"{incident} {len(frames)}")
    )
    shares.turn([], "digest")
    return shares, notes


@pytest.mark.parametrize(
    "script",
    ["say({'type': 'nonsense'})", "say({'type': 'state'})", "say({'type': 'found', 'found': 7})", "channel.socket.send(b'x')",
     "say({'type': 'found', 'found': [[1, {}]]})", "say({'type': 'frames', 'incident': '../x', 'frames': 1})",
     "say({'type': 'frames', 'incident': 'i-1', 'frames': 9}, b'x')"],
)  # fmt: skip
def test_a_share_that_says_what_makes_no_sense_is_ended_in_one_line(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    shares, notes = played(monkeypatch, script + "; import time; time.sleep(60)")
    hear_all(shares)
    assert len(notes) == 1
    assert notes[0].startswith("share 0: ")
    assert notes[0].endswith("; it is ended")
    shares.turn([], "digest")
    assert "it is started again in 0.5 s" in notes[1]
    shares.close()


def test_findings_wait_for_the_time_that_all_have_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    state = dict.fromkeys(("frames", "bytes", "damaged", "memory", "missed", "lost", "seconds"), 5) | {"first": 1, "last": 9}
    early, late = plain_of(FOUND) | {"time_ns": 100}, plain_of(FOUND) | {"time_ns": 300, "seen": "ff"}
    said = [{"type": "found", "found": [[1, late], [2, early]]}, {"type": "state", "until": 200, **state}]
    script = f"import json; [say(plain) for plain in json.loads({json.dumps(said)!r})]"
    shares, notes = played(monkeypatch, script)
    hear_all(shares)
    assert [found.number for found in shares.findings(all_=True)] == [2, 1]
    assert (shares.total("frames"), shares.span()) == (5, (1, 9))
    assert notes == []
    shares.close()
