"""The next-generation capture format (draft-ietf-opsawg-pcapng): sections of blocks, each with its own interfaces."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from appliance.packets.chain import Runs
from appliance.packets.gather import gather, layout
from appliance.packets.interfaces import InterfaceTable, parse_interface
from appliance.packets.records import MAX_CAPTURED, Records, no_records

if TYPE_CHECKING:
    from appliance.packets.batch import I64, U8, U64

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_MAX_BLOCK = MAX_CAPTURED + (1 << 16)  # a packet block with its options; larger ones are nonsense
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_PACKETS = (_OLD_PACKET, _SIMPLE, _PACKET)
_LEAST = {_SECTION: 28, _INTERFACE: 20, _OLD_PACKET: 32, _SIMPLE: 16, _PACKET: 32}


class PcapngWalker:
    """Walks the blocks of one pcapng input: keeps packets, learns interfaces, steps over the rest."""

    def __init__(self) -> None:
        """Start before the first section header."""
        self._interfaces = InterfaceTable()
        self._last_time = 0
        self._use("<")

    def _use(self, order: str) -> None:
        self._order = order
        self._head = Struct(order + "II")
        self._shape = layout(
            32, order, kind=("u4", 0), length=("u4", 4), port=("u4", 8), old_port=("u2", 8), high=("u4", 12), low=("u4", 16),
            captured=("u4", 20), wire=("u4", 24),
        )  # fmt: skip

    def walk(self, data: U8, memory: memoryview, start: int, stop: int, limit: int) -> Records:
        """Return the complete packet blocks in the window (see `records.Walker`)."""
        runs = self._likely(data, start, stop)
        parts: list[I64] = []
        found, at, damage = 0, start, ""
        while at + 12 <= stop and found < limit:
            run, after = runs.take(at, limit - found)
            if run.size:
                parts.append(run)
                found += run.size
                at = after
                continue
            kind, length = self._head.unpack_from(memory, at)
            if kind == _SECTION:
                if found:
                    break  # what follows may have another byte order: first hand out what is here
                step, damage = self._section(memory, at, stop)
                runs = self._likely(data, at, stop)
            else:
                step, damage = self._block(memory, at, stop, kind, length)
            if damage or not step:
                break
            if kind in _PACKETS:
                parts.append(np.array([at]))
                found += 1
            at += step
        if not found:
            return no_records(at, damage)
        return self._packets(data, np.concatenate(parts), at, damage)

    def _likely(self, data: U8, start: int, stop: int) -> Runs:
        """Find what looks like enhanced packet blocks: blocks lie at multiples of four, so their types are words."""
        words = data[start : stop - (stop - start) % 4].view(self._order + "u4")
        at = np.flatnonzero(words[: max(0, words.size - 7)] == _PACKET) * 4 + start
        length = gather(data, at, self._shape)["length"].astype(np.int64)
        after = at + (length + 3 & ~3)
        good = (length >= _LEAST[_PACKET]) & (length <= _MAX_BLOCK) & (after <= stop)
        return Runs(at, after) if good.all() else Runs(at[good], after[good])

    def _section(self, memory: memoryview, at: int, stop: int) -> tuple[int, str]:
        """Begin a section; returns the bytes to step (0: not all there yet) and what is wrong."""
        if at + 16 > stop:
            return 0, ""
        order = _ORDERS.get(bytes(memory[at + 8 : at + 12]))
        if order is None:
            return 0, "a section header has no byte-order magic"
        length, _, major = Struct(order + "IIH").unpack_from(memory, at + 4)
        if major != 1:
            return 0, f"a section has version {major}, only 1 is known"
        if not _LEAST[_SECTION] <= length <= _MAX_BLOCK:
            return 0, f"a section header claims {length} bytes"
        if at + length > stop:
            return 0, ""
        self._use(order)
        self._interfaces.new_section()
        return int(length) + 3 & ~3, ""

    def _block(self, memory: memoryview, at: int, stop: int, kind: int, length: int) -> tuple[int, str]:
        """Step over any block but a section's or an ordinary packet's; as `_section`."""
        if length < _LEAST.get(kind, 12):
            return 0, f"a block of type {kind} claims {length} bytes"
        if kind in _LEAST and length > _MAX_BLOCK:
            return 0, f"a block of type {kind} claims {length} bytes"
        # Blocks of no interest may be larger than the window (decryption secrets, name tables): the reader skips them.
        if kind in _LEAST and at + length > stop:
            return 0, ""
        if kind == _INTERFACE and not self._interfaces.add(parse_interface(bytes(memory[at + 8 : at + length - 4]), self._order)):
            return 0, "more interfaces than any capture has"
        return length + 3 & ~3, ""

    def _packets(self, data: U8, at: I64, after: int, damage: str) -> Records:
        """Read the fields of all packet blocks at once: the old and the enhanced block share their layout."""
        raw = gather(data, at, self._shape)
        kind = raw["kind"]
        room = raw["length"].astype(np.int64) - 32
        number = raw["port"].astype(np.int64)
        ticks: U64 = raw["high"].astype(np.uint64) << np.uint64(32) | raw["low"].astype(np.uint64)
        captured, wire = raw["captured"].astype(np.int64), raw["wire"].astype(np.int64)
        offset = at + 28
        old = np.flatnonzero(kind == _OLD_PACKET)
        if old.size:
            number[old] = raw["old_port"][old]
        simple = np.flatnonzero(kind == _SIMPLE)
        if simple.size:
            number[simple], offset[simple], room[simple] = 0, at[simple] + 12, room[simple] + 16
            wire[simple] = raw["port"][simple]
            captured[simple] = np.minimum(wire[simple], self._interfaces.snap() or MAX_CAPTURED)
        good = at.size
        wrong = np.flatnonzero((captured > room) | (captured > MAX_CAPTURED))
        if wrong.size:
            good = int(wrong[0])
            damage = f"a packet block claims {int(captured[good])} captured bytes in a block with room for {int(room[good])}"
            after = int(at[good])
        time, link, running, trailer = self._interfaces.resolve(number, ticks)
        if simple.size:
            self._fill_times(time, simple)
        if good:
            self._last_time = int(time[good - 1])
        whole = captured >= wire
        captured = np.where(whole, np.maximum(captured - trailer, 0), captured)
        wire = np.minimum(np.maximum(wire - trailer, 0), 0x7FFFFFFF)
        return Records(
            time[:good], offset[:good], captured[:good].astype(np.int32), wire[:good].astype(np.int32), link[:good],
            running[:good], after, damage,
        )  # fmt: skip

    def _fill_times(self, time: I64, simple: I64) -> None:
        """Simple packet blocks carry no time: they take that of the packet before them."""
        carries = np.ones(time.size, np.bool_)
        carries[simple] = False
        source = np.maximum.accumulate(np.where(carries, np.arange(time.size), -1))
        time[:] = np.where(source >= 0, time[source], self._last_time)
