"""What the sensor and its shares say to each other: a JSON object, then bytes, in one message of a Unix socket (SEQPACKET).

    sensor -> share   {"type":"ring","interface":..,"number":..,"link":..,"block":..,"blocks":..,"hold_ms":..,
                       "since":..}
                      with the rings of all shares beside it: a share maps its own and holds the others open, for the kernel
                      divides frames anew where one of a group is closed
                      {"type":"gone","interface":..}   {"type":"named","names":[[number,incident],..]}
                      {"type":"begin","digest":..,"frames":..}   the baseline to watch with, again where it was changed; and how
                      many frames this share has judged, also before it died
                      {"type":"reload"}                the configuration is to be read anew
                      {"type":"end"}
    share -> sensor   {"type":"found","found":[[number,finding],..]}
                      {"type":"state","until":..,"frames":..,"bytes":..,"damaged":..,"first":..,"last":..,"memory":..,
                       "seconds":..,"missed":..,"lost":..}
                      {"type":"frames","incident":..,"frames":..}, then columns and bytes of frames
                      {"type":"told"}                  all but excerpts
                      {"type":"over"}                  these too

Shares read hostile frames; what they say is read as strictly as anything from outside.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from dataclasses import fields
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

import numpy as np

from appliance.detect.finding import Finding, Kind
from appliance.errors import LiveError
from appliance.packets.fanout import MAX_SHARES
from appliance.packets.frames import Frames

Json = dict[str, Any]
MOST = 128 << 10  # bytes of a message
ROOM = 16 << 20  # bytes that wait for the other side
FINDINGS = 16  # of one message: each is at most some 6 KiB
_HEAD = Struct("=I")
_BYTES, _TEXT, _MANY = 1 << 16, 4096, 1024  # of one finding: bytes of a value, characters of a text, ranges and examples
_COLUMNS = (("number", np.int64), ("time", np.int64), ("captured", np.int32), ("wire", np.int32), ("link", np.uint16))
_NAMES = frozenset(f.name for f in fields(Finding))


class Channel:
    """One end. Nothing waits: what the other side does not take yet is kept, bounded; `lost` counts what found no room."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST)
        self.socket, self.lost = end, 0
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._size = 0

    def say(self, plain: Json, more: bytes = b"", descriptors: list[int] | None = None) -> bool:
        """Send as soon as can be; False where there is no room for it."""
        text = json.dumps(plain, separators=(",", ":")).encode()
        raw = _HEAD.pack(len(text)) + text + more
        if len(raw) > MOST or self._size > ROOM:
            self.lost += 1
            return False
        self._waiting.append((raw, descriptors or []))
        self._size += len(raw)
        self.push()
        return True

    def push(self) -> bool:
        """Send what waits, as far as it is taken; whether something is left. An end that is no more takes nothing."""
        while self._waiting:
            raw, descriptors = self._waiting[0]
            try:
                socket.send_fds(self.socket, [raw], descriptors)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                self._waiting.clear()
                self._size = 0
                return False
            self._waiting.popleft()
            self._size -= len(raw)
        return False

    def hear(self) -> list[tuple[Json, bytes, list[int]]] | None:
        """All messages that are there, with their descriptors; None at the end. Raises LiveError for what is none."""
        heard: list[tuple[Json, bytes, list[int]]] = []
        while len(heard) < 256:
            try:
                raw, descriptors, flags, _ = socket.recv_fds(self.socket, MOST + 1, MAX_SHARES)
            except (BlockingIOError, InterruptedError):
                return heard
            except OSError:
                return heard or None
            if not raw:
                return heard or None
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(raw) > MOST:
                for descriptor in descriptors:
                    socket.close(descriptor)
                raise LiveError("a message that is too long")
            heard.append((*_parted(raw), descriptors))
        return heard

    def close(self) -> None:
        """No more."""
        self.socket.close()


def _parted(raw: bytes) -> tuple[Json, bytes]:
    try:
        size = _HEAD.unpack_from(raw)[0]
        plain = json.loads(raw[_HEAD.size : _HEAD.size + size])
        if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
            raise ValueError("no type")
    except (ValueError, RecursionError, StructError) as error:
        raise LiveError(f"a message that is none ({error})") from error
    return plain, raw[_HEAD.size + size :]


def number_of(plain: Json, key: str) -> int:
    """A whole number from 0 (times before 1970 are none). Raises LiveError."""
    value = plain.get(key)
    if type(value) is not int or not -1 <= value < 1 << 63:
        raise LiveError(f"a message without {key}")
    return value


def numbered(value: object) -> list[tuple[int, Any]]:
    """Pairs of a number and something. Raises LiveError."""
    try:
        return [(_whole(number), what) for number, what in _list(value)]
    except (ValueError, TypeError) as error:
        raise LiveError(f"a list that is none ({error})") from error


def plain_of(finding: Finding) -> Json:
    """A finding for JSON."""
    plain = {name: getattr(finding, name) for name in _NAMES}
    for name in ("seen", "payload"):
        plain[name] = plain[name].hex()
    plain["normal"] = [one.hex() for one in finding.normal]
    return plain


def finding_of(plain: object) -> Finding:
    """The finding that was said. Raises LiveError."""
    try:
        if not isinstance(plain, dict) or plain.keys() != _NAMES:
            raise ValueError("its keys")
        ranges = tuple((_whole(a), _whole(b)) for a, b in _list(plain["ranges"]))
        frame = None if plain["frame"] is None else _whole(plain["frame"])
        texts = {name: _text(plain[name]) for name in ("src", "dst", "client", "service", "match")}
        normal = tuple(_raw(one) for one in _list(plain["normal"]))
        score = plain["score"]
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ValueError("its score")
        return Finding(
            frame=frame,
            time_ns=_whole(plain["time_ns"]),
            kind=Kind(plain["kind"]),
            ranges=ranges,
            seen=_raw(plain["seen"]),
            normal=normal,
            score=float(score),
            payload=_raw(plain["payload"]),
            count=_whole(plain["count"]),
            **texts,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise LiveError(f"a finding that is none ({error})") from error


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _TEXT:
        raise ValueError("a text")
    return value


def _raw(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * _BYTES:
        raise ValueError("bytes")
    return bytes.fromhex(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MANY:
        raise ValueError("a list")
    return value


def frames_said(frames: Frames) -> bytes:
    """Columns and bytes of frames."""
    return b"".join(getattr(frames, name).astype(kind).tobytes() for name, kind in _COLUMNS) + frames.data.tobytes()


def frames_heard(raw: bytes, count: int) -> Frames:
    """What `frames_said` made of so many frames. Raises LiveError."""
    columns: list[Any] = []
    at = 0
    for _, kind in _COLUMNS:
        size = count * np.dtype(kind).itemsize
        if not 0 < count <= MOST or at + size > len(raw):
            raise LiveError("frames that are none")
        columns.append(np.frombuffer(raw[at : at + size], kind).copy())
        at += size
    number, when, captured, wire, link = columns
    frames = Frames(number, when, captured, wire, link, np.frombuffer(raw[at:], np.uint8).copy())
    if (frames.captured < 0).any() or int(frames.captured.astype(np.int64).sum()) != frames.data.size:
        raise LiveError("frames that are none")
    if (frames.number < 1).any() or (frames.time < 0).any():
        raise LiveError("frames that are none")
    return frames
