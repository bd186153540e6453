"""Opening captures: plain or gzip files, and pipes."""

from __future__ import annotations

import stat
import zlib
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import CaptureError
from appliance.packets.source import NEXT_STEP, BrokenInputError, CaptureSource, not_a_capture, open_source

if TYPE_CHECKING:
    from appliance.packets.source import Reader

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 18


class FileReader:
    """Reads an opened file; `head` is what was already taken from it."""

    def __init__(self, file: FileIO, head: bytes = b"") -> None:
        """Take over the open `file`."""
        self._file = file
        self._head = head

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the head of `buffer`; 0 at the end. Raises BrokenInputError on a read error."""
        if self._head:
            size = min(len(self._head), len(buffer))
            buffer[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        try:
            return self._file.readinto(buffer) or 0
        except OSError as error:
            raise BrokenInputError(f"it cannot be read on: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class GzipReader:
    """Unpacks gzip members one after the other, never more than was asked for (a bomb only costs time)."""

    def __init__(self, packed: FileReader) -> None:
        """Unpack what `packed` delivers."""
        self._packed = packed
        self._chunk = bytearray(_CHUNK)
        self._pending = b""
        self._unpacker = zlib.decompressobj(wbits=31)
        self._over = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the head of `buffer` with unpacked bytes; 0 at the end. Raises BrokenInputError when the gzip data is damaged."""
        while not self._over and len(buffer):
            if not self._pending and not self._refill():
                break
            try:
                plain = self._unpacker.decompress(self._pending, len(buffer))
            except zlib.error as error:
                self._over = True
                raise BrokenInputError("its gzip data is damaged") from error
            self._pending = self._unpacker.unconsumed_tail
            if self._unpacker.eof:
                self._next_member()
            if plain:
                buffer[: len(plain)] = plain
                return len(plain)
        return 0

    def _refill(self) -> bool:
        size = self._packed.readinto(memoryview(self._chunk))
        self._pending = bytes(self._chunk[:size])
        if not size:
            self._over = True
            raise BrokenInputError("its gzip data ends early")
        return True

    def _next_member(self) -> None:
        """Go on with a following member; anything else behind the end is padding (as gzip itself takes it)."""
        self._pending = self._unpacker.unused_data
        while len(self._pending) < len(_GZIP):
            size = self._packed.readinto(memoryview(self._chunk))
            if not size:
                break
            self._pending += bytes(self._chunk[:size])
        self._over = not self._pending.startswith(_GZIP)
        self._unpacker = zlib.decompressobj(wbits=31)

    def close(self) -> None:
        """Close the file."""
        self._packed.close()


def open_capture(path: str | Path) -> CaptureSource:
    """Open a capture: pcap or pcapng, plain or gzip, a file or a pipe. Raises CaptureError in one clear line.

    The source is a context manager; `appliance.packets.reader.batches` reads it.
    """
    name = str(path)
    file = _open(name)
    try:
        plain = FileReader(file)
        head = bytearray(2)
        size = plain.readinto(memoryview(head))
        reader: Reader = FileReader(file, bytes(head[:size]))
        if bytes(head[:size]) == _GZIP:
            reader = GzipReader(FileReader(file, _GZIP))
        return open_source(name, reader)
    except BrokenInputError as error:
        file.close()
        raise not_a_capture(name, str(error)) from error
    except BaseException:
        file.close()
        raise


def _open(name: str) -> FileIO:
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISDIR(mode):
            raise CaptureError(f"{name}: a directory, not a capture; name the files in it, {NEXT_STEP}")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise CaptureError(f"{name}: a device or socket, not a capture; {NEXT_STEP}")
        return FileIO(name)
    except FileNotFoundError as error:
        raise CaptureError(f"{name}: no such file; check the path") from error
    except PermissionError as error:
        raise CaptureError(f"{name}: no permission to read it; check its owner and mode") from error
    except (OSError, ValueError) as error:
        raise CaptureError(f"{name}: cannot be opened: {error}; check the path") from error
