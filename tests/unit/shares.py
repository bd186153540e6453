"""A fanout group in a test: the program run as the kernel runs it, and a stream of frames divided by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.packets.batch import PacketBatch

if TYPE_CHECKING:
    from appliance.packets.filters import Instruction

_WORD = 0xFFFFFFFF
_PROTOCOL, _HARDWARE = 0xFFFFF000, 0xFFE00000
_TAGS = (0x8100, 0x88A8)


def run(program: tuple[Instruction, ...], raw: bytes) -> int:
    """What classic BPF returns for an Ethernet frame at its network header, the outermost tag taken out."""
    net = 14 if int.from_bytes(raw[12:14], "big") not in _TAGS else 18
    a = x = pc = 0
    memory = [0] * 16
    while True:
        code, jt, jf, k = program[pc]
        pc += 1
        if code in (0x20, 0x28):
            loaded = _load(raw, net, k, 4 if code == 0x20 else 2)
            if loaded is None:
                return 0
            a = loaded
        elif code in (0x07, 0x61):
            x = a if code == 0x07 else memory[k]
        elif code == 0x02:
            memory[k] = a
        elif code in (0x0C, 0x24, 0x74, 0xAC):
            a = {0x0C: a + x, 0x24: a * k, 0x74: a >> k, 0xAC: a ^ x}[code] & _WORD
        elif code in (0x05, 0x15, 0x35):
            assert k >= 0
            pc += k if code == 0x05 else jt if (a == k if code == 0x15 else a >= k) else jf
        else:
            return {0x06: k, 0x16: a}[code]


def _load(raw: bytes, net: int, k: int, width: int) -> int | None:
    if k == _PROTOCOL:
        kind = int.from_bytes(raw[net - 2 : net], "big")
        return kind if kind >= 0x600 else 4  # ETH_P_802_2
    at = k - _HARDWARE if k >= _HARDWARE else net + k
    return int.from_bytes(raw[at : at + width], "big") if at + width <= len(raw) else None


def divided(batch: PacketBatch, program: tuple[Instruction, ...], shares: int) -> list[PacketBatch]:
    """The frames of a batch as each share gets them; they keep their numbers."""
    share = np.array([run(program, batch.bytes_of(row)) % shares for row in range(len(batch))], np.int64)
    columns = ("time", "frame", "offset", "captured", "wire", "link", "interface")
    return [
        PacketBatch(
            data=batch.data.copy(),
            used=batch.used,
            arena=type(batch.arena)(batch.data.copy(), batch.used),
            **{name: getattr(batch, name)[share == k] for name in columns},
        )
        for k in range(shares)
    ]
