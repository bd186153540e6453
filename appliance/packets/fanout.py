"""Which share of several sensors a frame goes to: one rule, as classic BPF for the kernel and as numbers for ourselves.

    IPv4, IPv6      the two addresses, whichever is the source: ports, tags and fragments make no difference
    ARP             share 0
    anything else   the two hardware addresses

So both directions of a conversation meet, on one port or on two. Linux runs the program for every frame of a fanout group
(PACKET_FANOUT_CBPF; packet(7)) at the network header, the outermost VLAN tag taken out, and takes the result modulo the number
of members; a load beyond the frame gives 0. Pairs that must be seen together are pinned to one share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.packets.filters import Instruction

MAX_SHARES = 16
MAX_PINS = 256  # pairs; each costs the kernel a step of a search, and the program some five instructions
_WORD = 0xFFFFFFFF
_K1, _K2 = 0x9E3779B1, 0x85EBCA6B  # odd; the second is of MurmurHash3's finalizer
_MAPPED = 0xFFFF  # upper bits of the lower half of an IPv4 address (RFC 4291, 2.5.5.2)

_LDW, _LDH, _LDX_MEM, _ST, _TAX = 0x20, 0x28, 0x61, 0x02, 0x07
_ADD_X, _XOR_X, _MUL, _RSH, _JA, _JEQ, _JGE, _RET, _RET_A = 0x0C, 0xAC, 0x24, 0x74, 0x05, 0x15, 0x35, 0x06, 0x16
_PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: the ethertype, behind the tag that the kernel took out
_HARDWARE = 0xFFE00000  # SKF_LL_OFF: from here on offsets count from the hardware addresses
_IPV4, _IPV6, _ARP, _TAGS = 0x0800, 0x86DD, 0x0806, (0x8100, 0x88A8)


def pair_hash(one: int, other: int) -> int:
    """32 bits for two words, whichever comes first."""
    h = (((one ^ other) * _K1) + one + other) & _WORD
    h = ((h ^ h >> 16) * _K2) & _WORD
    return h ^ h >> 15


def ip_word(high: int, low: int) -> int:
    """32 bits of an address, given as the halves of the columns *_hi, *_lo; of IPv4 the address itself."""
    if high == 0 and low >> 32 == _MAPPED:
        return low & _WORD
    return (high >> 32 ^ high ^ low >> 32 ^ low) & _WORD


@dataclass(frozen=True, slots=True)
class Partition:
    """How frames are divided among `shares`; pins: hash of a pair -> its share, at most MAX_PINS."""

    shares: int = 1
    pins: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError where a share is none of these."""
        if not 1 <= self.shares <= MAX_SHARES or len(self.pins) > MAX_PINS:
            raise ValueError("too many shares or pins")
        if not all(0 <= share < self.shares for share in self.pins.values()):
            raise ValueError("a pair is pinned to a share that is none")

    def share(self, hashed: int) -> int:
        """The share of a pair with this hash."""
        return self.pins.get(hashed, hashed % self.shares)

    def share_of(self, one: tuple[int, int], other: tuple[int, int]) -> int:
        """The share of the frames between two IP addresses, given as halves."""
        return self.share(pair_hash(ip_word(*one), ip_word(*other)))

    def program(self) -> tuple[Instruction, ...]:
        """The same for the kernel; it takes the result modulo the number of shares."""
        code = _Code()
        code.put(_LDH, _PROTOCOL)
        _by_protocol(code, 0)
        for tag in _TAGS:
            code.jump_if(tag, "tagged")
        code.jump("hardware")
        code.mark("tagged")
        code.put(_LDH, 2)
        _by_protocol(code, 4)
        _hardware(code)
        for base in (0, 4):
            _ip(code, base)
        code.mark("hash")
        _hash(code)
        code.search(sorted(self.pins.items()))
        code.mark("arp")  # last: behind a return the kernel's check takes memory for not written
        code.put(_RET, 0)
        return code.assembled()


class _Code:
    """Instructions with marks that are jumped to, forward only: the kernel takes no other."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int | str]] = []
        self.marks: dict[str, int] = {}

    def put(self, code: int, k: int = 0) -> None:
        self.rows.append((code, 0, 0, k))

    def mark(self, name: str) -> None:
        self.marks[name] = len(self.rows)

    def jump(self, name: str) -> None:
        self.rows.append((_JA, 0, 0, name))

    def jump_if(self, k: int, name: str) -> None:
        """Jump where the accumulator is `k`; a conditional jump reaches 255 instructions, this one all."""
        self.rows.append((_JEQ, 0, 1, k))
        self.jump(name)

    def search(self, pins: list[tuple[int, int]]) -> None:
        """Return the share that is pinned to the accumulator, by halving; the accumulator itself where none is."""
        if len(pins) > 4:
            half = len(pins) // 2
            right = f"from {pins[half][0]}"
            self.rows.append((_JGE, 0, 1, pins[half][0]))
            self.jump(right)
            self.search(pins[:half])
            self.mark(right)
            self.search(pins[half:])
            return
        for hashed, share in pins:
            self.rows.append((_JEQ, 0, 1, hashed))
            self.put(_RET, share)
        self.put(_RET_A)

    def assembled(self) -> tuple[Instruction, ...]:
        return tuple(
            Instruction(code, jt, jf, self.marks[k] - at - 1 if isinstance(k, str) else k)
            for at, (code, jt, jf, k) in enumerate(self.rows)
        )


def _by_protocol(code: _Code, base: int) -> None:
    """Where to go on for the ethertype in the accumulator, the network header being `base` bytes behind."""
    code.jump_if(_IPV4, f"ipv4+{base}")
    code.jump_if(_IPV6, f"ipv6+{base}")
    code.jump_if(_ARP, "arp")


def _ip(code: _Code, base: int) -> None:
    code.mark(f"ipv4+{base}")
    code.put(_LDW, base + 12)
    code.put(_ST, 0)
    code.put(_LDW, base + 16)
    code.jump("hash")
    code.mark(f"ipv6+{base}")
    for at, keep in ((base + 8, True), (base + 24, False)):
        code.put(_LDW, at)
        for word in (4, 8, 12):
            code.put(_TAX)
            code.put(_LDW, at + word)
            code.put(_XOR_X)
        if keep:
            code.put(_ST, 0)
    code.jump("hash")


def _hardware(code: _Code) -> None:
    """The hardware addresses, as words: the last four bytes and the first two."""
    code.mark("hardware")
    for at, keep in ((6, True), (0, False)):
        code.put(_LDH, _HARDWARE + at)
        code.put(_TAX)
        code.put(_LDW, _HARDWARE + at + 2)
        code.put(_XOR_X)
        if keep:
            code.put(_ST, 0)
    code.jump("hash")


def _hash(code: _Code) -> None:
    """`pair_hash` of the word in memory 0 and that in the accumulator."""
    for what, k in (
        (_ST, 1), (_LDX_MEM, 0), (_XOR_X, 0), (_MUL, _K1), (_ADD_X, 0), (_LDX_MEM, 1), (_ADD_X, 0),
        (_TAX, 0), (_RSH, 16), (_XOR_X, 0), (_MUL, _K2), (_TAX, 0), (_RSH, 15), (_XOR_X, 0),
    ):  # fmt: skip
        code.put(what, k)
