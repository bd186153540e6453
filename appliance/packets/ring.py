"""A TPACKET_V3 receive ring as batches (Linux uapi `if_packet.h`; Documentation/networking/packet_mmap.rst).

The kernel fills blocks and hands each over as a whole. A block that is handed over is copied into a window of our own and
given back at once: the ring is emptied as fast as memory is copied, whatever detection does afterwards, and nobody can
change a byte after it was looked at. The frames of a block are a chain of headers, followed as in a capture file (`chain`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from appliance.packets.batch import ARENA_BYTES, SLACK_BYTES, U8, U32, Arena, PacketBatch
from appliance.packets.chain import Runs, follow
from appliance.packets.gather import gather, layout
from appliance.packets.ringshape import RingShape

if TYPE_CHECKING:
    from appliance.packets.batch import I64

KERNEL, USER = 0, 1  # who owns a block
_VLAN, _TPID = 1 << 4, 1 << 6  # TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
_OUTGOING = 4  # PACKET_OUTGOING
_TAG = 4  # bytes of a VLAN tag
_ETHERNET_LINK = 1
_NATIVE = "<" if sys.byteorder == "little" else ">"
HEAD = 48  # bytes of a block's descriptor
FRAME_HEAD = 68  # bytes of tpacket3_hdr and of the sockaddr_ll behind it
ALIGN = 8  # V3_ALIGNMENT: frames begin at multiples of it
MAX_WINDOW = 4 << 20  # bytes a window holds
AT_ONCE = 2 << 20  # bytes taken out of a ring at once: more makes no frame cheaper, and what detection needs for them is memory
STAMPED_NS = 5_000_000  # a frame is stamped before it waits for the core that puts it into the ring

_FRAME = layout(
    64,
    _NATIVE,
    seconds=("u4", 4),
    nanoseconds=("u4", 8),
    captured=("u4", 12),
    wire=("u4", 16),
    status=("u4", 20),
    mac=("u2", 24),
    tci=("u4", 32),
    tpid=("u2", 36),
    pkttype=("u1", 58),
)
_NEXT = Struct("=I")


class Window:
    """Blocks that were copied out of a ring, one behind the other, and what they hold as a batch.

    data     uint8, the buffer; reused
    used     bytes of it that hold blocks
    damaged  blocks whose headers did not hold together; what was sound before is delivered
    """

    __slots__ = ("_at", "damaged", "data", "used")

    def __init__(self) -> None:
        self.data: U8 = np.zeros(MAX_WINDOW + ARENA_BYTES + SLACK_BYTES, np.uint8)
        self.damaged = 0
        self.clear()

    def clear(self) -> None:
        """Forget all blocks."""
        self.used = 0
        self._at: list[I64] = []

    def put(self, block: U8) -> None:
        """Copy one block, its descriptor first, of at most MAX_WINDOW - `used` bytes."""
        start, self.used = self.used, self.used + -(-block.size // ALIGN) * ALIGN
        self.data[start : start + block.size] = block
        self._at.append(self._frames(start, start + block.size))

    def _frames(self, start: int, stop: int) -> I64:
        """Offsets of the frames of the block that was copied to `start:stop`."""
        none = np.zeros(0, np.int64)
        number, first = (int(n) for n in self.data[start : start + 20].view(np.uint32)[3:5])
        if not number:
            return none
        if first < HEAD or first % ALIGN or start + first + FRAME_HEAD > stop:
            self.damaged += 1
            return none
        begin = start + first
        number = min(number, (stop - begin) // FRAME_HEAD)
        at = follow(self.data.data, begin, stop - FRAME_HEAD + 4, number, _NEXT, 0, self._likely(begin, stop))
        head = gather(self.data, at, _FRAME)
        end = at + head["mac"] + head["captured"].astype(np.int64)
        follows = np.append(at[1:], stop)
        sound = (head["mac"] >= FRAME_HEAD + _TAG) & (end <= follows) & (at % ALIGN == start % ALIGN)
        if len(at) == number and sound.all():
            return at
        self.damaged += 1
        return at if sound.all() else at[: int(sound.argmin())]

    def _likely(self, begin: int, stop: int) -> Runs:
        """What looks like a frame's header: its next-offset is that of its lengths. A payload may look so too: see `chain`."""
        words = self.data[begin : begin + (stop - begin) // ALIGN * ALIGN].view(np.uint32).reshape(-1, 2)
        if len(words) < 8:
            return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))
        mac = int(words[3, 0]) & 0xFFFF if _NATIVE == "<" else int(words[3, 0]) >> 16
        offset, captured = words[:-1, 0], words[1:, 1]
        at = np.flatnonzero(offset == ((captured + np.uint32(mac + ALIGN - 1)) & np.uint32(0xFFFFFFF8)))
        where = begin + at.astype(np.int64) * ALIGN
        return Runs(where, where + offset[at])

    def batch(self, first: int, link: int, interface: int) -> PacketBatch | None:
        """All frames, numbered from `first`, less those this machine sent itself; None where none is left.

        VLAN tags are back in their frames, and the headers say so: blocks that are kept read the same again.
        """
        at = np.concatenate(self._at) if self._at else np.zeros(0, np.int64)
        head = gather(self.data, at, _FRAME)
        kept = head["pkttype"] != _OUTGOING
        if not kept.all():
            at, head = at[kept], head[kept]
        if not at.size:
            return None
        if link == _ETHERNET_LINK and (tagged := (head["status"] & _VLAN).astype(np.bool_) & (head["captured"] >= 12)).any():
            _put_tags_back(self.data, at[tagged], head[tagged])
            head = gather(self.data, at, _FRAME)
        size = at.size
        return PacketBatch(
            time=head["seconds"].astype(np.int64) * 1_000_000_000 + head["nanoseconds"],
            frame=np.arange(first, first + size, dtype=np.int64),
            offset=at + head["mac"],
            captured=head["captured"].astype(np.int32),
            wire=np.minimum(head["wire"], np.uint32(0x7FFFFFFF)).astype(np.int32),
            link=np.full(size, link, np.uint16),
            interface=np.full(size, interface, np.uint16),
            data=self.data,
            used=self.used,
            arena=Arena(self.data, self.used),
        )


def _ns(seconds: int, nanoseconds: int) -> int:
    return seconds * 1_000_000_000 + nanoseconds


def _put_tags_back(data: U8, at: I64, head: npt.NDArray[Any]) -> None:
    """Write the tag that the kernel took out of a frame back behind its addresses, in place; four bytes in front are free."""
    start = at + head["mac"]
    span = np.arange(12)
    data[(start - _TAG)[:, None] + span] = data[start[:, None] + span]
    kind = np.where(head["status"] & _TPID, head["tpid"], 0x8100)
    tag = np.stack([kind >> 8, kind & 0xFF, head["tci"] >> 8 & 0xFF, head["tci"] & 0xFF], axis=1)
    data[(start + 8)[:, None] + np.arange(_TAG)] = tag.astype(np.uint8)
    words, halves = data[: data.size // 4 * 4].view(np.uint32), data[: data.size // 4 * 4].view(np.uint16)
    words[at // 4 + 3] = head["captured"] + _TAG
    words[at // 4 + 4] = head["wire"] + _TAG
    words[at // 4 + 5] = head["status"] & ~np.uint32(_VLAN | _TPID)
    halves[at // 2 + 12] = head["mac"] - _TAG


@dataclass(slots=True)
class RingReader:
    """Takes the blocks of one ring in their order.

    ring       uint8 [shape.size], shared with the kernel
    link       LINKTYPE of the frames
    interface  running number of the interface, for the column of that name
    """

    ring: U8
    shape: RingShape
    link: int = _ETHERNET_LINK
    interface: int = 0
    window: Window = field(default_factory=Window)
    _at: int = 0
    _heads: U32 = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError where the ring is not as large as its shape says."""
        if self.ring.size != self.shape.size or self.shape.block > MAX_WINDOW or self.shape.block % ALIGN:
            raise ValueError("ring and shape disagree")
        self._heads = self.ring.view(np.uint32).reshape(self.shape.blocks, self.shape.block // 4)[:, : HEAD // 4]
        # Where the last reader of this ring stopped: blocks are numbered as the kernel begins them.
        numbers = self._heads[:, 6].astype(np.int64) | self._heads[:, 7].astype(np.int64) << 32
        handed = (self._heads[:, 2] & USER).astype(np.bool_)
        oldest = np.where(handed, numbers, np.iinfo(np.int64).max).argmin()
        self._at = int(oldest if handed.any() else numbers.argmax())

    def waiting(self) -> int:
        """Blocks that are handed over and not yet taken."""
        handed = (self._heads[:, 2] & USER).astype(np.bool_)
        ahead = np.roll(handed, -self._at)
        return int(ahead.argmin()) if not ahead.all() else self.shape.blocks

    def unread(self) -> int | None:
        """Time (ns since the epoch) from which on frames are in the ring that were not taken; None where there are none.

        The kernel writes the time into a block when it opens it, the number of frames with each frame, and behind that the
        frame's own time (net/packet/af_packet.c, prb_open_block, prb_fill_curr_block, tpacket_rcv): one that is older than
        its block is left from the last time around.
        """
        number, first, *opened = (int(self._heads[self._at, word]) for word in (3, 4, 8, 9))
        if not number:
            return None
        begin = self._at * self.shape.block + min(first, self.shape.block - FRAME_HEAD)
        stamped = _ns(*self.ring[begin + 4 : begin + 12].view(np.uint32).tolist())
        return max(stamped, _ns(*opened) - STAMPED_NS)

    def take(self, first: int) -> PacketBatch | None:
        """The frames of the next blocks, as many as fit the window; None when there is none (then `window.used` may be 0).

        first   number of the first frame
        A batch is valid until the next call. Blocks are given back to the kernel before this returns.
        """
        self.window.clear()
        for _ in range(min(self.waiting(), max(1, AT_ONCE // self.shape.block))):
            # A block's bytes are read only after its status was: the kernel writes the status last.
            begin = self._at * self.shape.block
            size = min(max(int(self._heads[self._at, 5]), HEAD), self.shape.block)
            self.window.put(self.ring[begin : begin + size])
            self._heads[self._at, 3] = 0  # the kernel counts anew only once it opens the block again
            self._heads[self._at, 2] = KERNEL
            self._at = (self._at + 1) % self.shape.blocks
        return self.window.batch(first, self.link, self.interface)
