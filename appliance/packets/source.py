"""An opened input, and the decision what kind of capture it is (no file is opened here: see `host.files`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

from appliance.errors import CaptureError

if TYPE_CHECKING:
    from types import TracebackType

NEXT_STEP = "give a pcap or pcapng file (optionally gzip)"


class BrokenInputError(CaptureError):
    """The input stops in the middle because of what carries it (damaged gzip, read error); its text is the reason."""


class Reader(Protocol):
    """What a source reads from: an object with `readinto` like `io.RawIOBase`."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the head of `buffer`, return the number of bytes, 0 at the end; raises BrokenInputError."""
        ...

    def close(self) -> None:
        """Give the input back."""
        ...


class Format(StrEnum):
    """Kinds of captures that are read."""

    PCAP = "pcap"
    PCAPNG = "pcapng"


@dataclass(slots=True)
class CaptureSource:
    """An input whose kind is known.

    name        what messages call it (usually the path)
    kind        Format
    head        the first bytes, already taken from `reader`
    frames      frames delivered so far
    truncated   True once the input turned out to end or break inside a record; `reason` says how
    """

    name: str
    kind: Format
    head: bytes
    reader: Reader
    frames: int = 0
    truncated: bool = False
    reason: str = ""

    def cut(self, reason: str) -> None:
        """Note that nothing can be read from here on, and why; the first reason stays."""
        if not self.truncated:
            self.truncated, self.reason = True, reason

    def close(self) -> None:
        """Give the input back."""
        self.reader.close()

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the input back."""
        self.close()


_PCAP = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\x34\xcd\xb2\xa1", "a modified pcap (Kuznetzov's)"),
    (b"\xa1\xb2\xcd\x34", "a modified pcap (Kuznetzov's)"),
    (b"\xcd\xf1\x6f\xa1", "a modified pcap (Norsk Data's)"),
    (b"\x12\xcb\xe2\xa1", "a modified pcap (alternative)"),
    (b"\xa1\xe2\xcb\x12", "a modified pcap (alternative)"),
    (b"\xac\x01\x00\x1c", "an IXIA capture"),
    (b"\xab\x01\x00\x1c", "an IXIA capture"),
    (b"snoop\0", "a snoop capture"),
    (b"GMBU", "a Network Monitor capture"),
    (b"RTSS", "a Network Monitor capture"),
    (b"XCP\0", "a NetXRay capture"),
    (b"\x1f\x8b", "gzip inside gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd data (unpack it first)"),
    (b"\xfd7zXZ", "xz data (unpack it first)"),
    (b"BZh", "bzip2 data (unpack it first)"),
    (b"\x04\x22\x4d\x18", "lz4 data (unpack it first)"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
)
_HEAD_BYTES = {Format.PCAP: 24, Format.PCAPNG: 28}


def not_a_capture(name: str, why: str) -> CaptureError:
    """Return the error that names the input, the cause and the next step."""
    return CaptureError(f"{name}: not a capture: {why}; {NEXT_STEP}")


def read_full(reader: Reader, buffer: memoryview) -> int:
    """Fill `buffer` from `reader`; returns fewer bytes than asked for only at the end. Raises BrokenInputError."""
    filled = 0
    while filled < len(buffer):
        got = reader.readinto(buffer[filled:])
        if got <= 0:
            break
        filled += got
    return filled


def open_source(name: str, reader: Reader) -> CaptureSource:
    """Look at the first bytes of `reader` and return a source, or raise CaptureError in one clear line."""
    room = bytearray(28)
    try:
        size = read_full(reader, memoryview(room)[:4])
        magic = bytes(room[:size])
        if not magic:
            raise not_a_capture(name, "it is empty")
        kind = _kind(name, magic)
        wanted = _HEAD_BYTES[kind]
        size += read_full(reader, memoryview(room)[4:wanted])
    except BrokenInputError as error:
        raise not_a_capture(name, str(error)) from error
    if size < wanted:
        raise not_a_capture(name, f"it ends inside its {kind} header after {size} of {wanted} bytes")
    if kind is Format.PCAPNG:
        _check_section(name, bytes(room))
    return CaptureSource(name, kind, bytes(room[:wanted]), reader)


def _check_section(name: str, head: bytes) -> None:
    """Refuse a first section header without byte-order magic or of a version other than 1 (pcapng, 4.1)."""
    order = {b"\x4d\x3c\x2b\x1a": "little", b"\x1a\x2b\x3c\x4d": "big"}.get(head[8:12])
    if order is None:
        raise not_a_capture(name, "its pcapng section header has no byte-order magic")
    major = int.from_bytes(head[12:14], "little" if order == "little" else "big")
    if major != 1:
        raise not_a_capture(name, f"its pcapng section has version {major}, only 1 is known")


def _kind(name: str, magic: bytes) -> Format:
    if magic in _PCAP:
        return Format.PCAP
    if magic == _PCAPNG:
        return Format.PCAPNG
    for start, what in _OTHERS:
        if magic.startswith(start[:4]):
            raise not_a_capture(name, f"it is {what}")
    raise not_a_capture(name, f"it starts with {magic.hex(' ')}")
