"""What devices say of themselves: vendor, model, firmware, names; bounded texts per address, mergeable by union.

Which frames could say it is found by vector masks over ports, ethertypes and a few bytes, and at most four of an asset,
protocol and second are read. How they are read is not known here: a reader is given from outside (`protocols.describe`), so
that learning and detection need no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import L2_TAG
from appliance.learn.counting.quota import Quota

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Address

Told = tuple[str, str, str]  # (source, attribute, text): ("modbus/1", "firmware", "V2.1")
Reader = Callable[[str, bytes, int], Sequence[Told]]  # (protocol, payload, lower half of the sender's address) -> what it says
Texts = dict[Told, tuple[int, int]]  # -> ns when first and last said

MAX_TEXT = 120  # characters of a text
MAX_TEXTS = 64  # texts of an address; those that come first in the order of the alphabet stay
MAX_SPEAKERS = 16_384  # addresses with texts
ATTRIBUTES: Final = ("vendor", "model", "code", "firmware", "software", "hardware", "serial", "name", "description", "identifier")
PORTS: Final = {
    502: "modbus", 44818: "cip", 102: "s7", 161: "snmp", 5353: "mdns", 137: "nbns", 68: "dhcp",
    **dict.fromkeys(range(47808, 47824), "bacnet"),
}  # fmt: skip
NAMES: Final = (*tuple(sorted(set(PORTS.values()))), "lldp", "dcp")
_LLDP, _PROFINET = 0x88CC, 0x8892
_BY_PORT: Final = np.zeros(65_536, np.int8)  # source port -> 1 + number of the protocol
for _port, _name in PORTS.items():
    _BY_PORT[_port] = 1 + NAMES.index(_name)
_K = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class Listener:
    """Finds the frames in which devices introduce themselves and has them read."""

    reader: Reader
    _quota: Quota = field(default_factory=Quota)

    def hear(self, batch: DecodedBatch) -> Iterator[tuple[int, Address, Told]]:
        """(row, address, what it says of itself), in the order of rows."""
        rows, kind = candidates(batch)
        who = (batch.src_lo[rows] * _K ^ batch.src_hi[rows] ^ kind.astype(np.uint64)).astype(np.int64)
        names = dict(zip(rows.tolist(), kind.tolist(), strict=True))
        for row in self._quota.take(batch, rows, who):
            address = (int(batch.src_hi[row]), int(batch.src_lo[row]))
            if address[1] in (0, 0xFFFF_0000_0000):  # it has no address yet: its hardware speaks
                address = (L2_TAG, int(batch.src_mac[row]))
            if not address[1]:
                continue
            for told in self.reader(NAMES[names[row] - 1], batch.payload_of(row), address[1]):
                yield row, address, told


def candidates(batch: DecodedBatch) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int8]]:
    """Rows that may hold a self-description, and 1 + the number of their protocol in NAMES."""
    kind = _BY_PORT.take(batch.sport)
    other = ~batch.ip
    if other.any():
        kind = np.where(other & (batch.ethertype == _LLDP), 1 + NAMES.index("lldp"), kind)
        kind = np.where(other & (batch.ethertype == _PROFINET), 1 + NAMES.index("dcp"), kind)
    rows = np.flatnonzero((kind > 0) & (batch.payload_len >= 8))
    kind = kind[rows].astype(np.int8)
    keep = np.ones(len(rows), bool)
    there = np.bincount(kind, minlength=1 + len(NAMES))
    for name, mask in _MASKS.items():
        if there[1 + NAMES.index(name)]:
            mine = np.flatnonzero(kind == 1 + NAMES.index(name))
            keep[mine] = mask(batch, rows[mine])
    kept = np.flatnonzero(keep)
    return rows.take(kept), kind.take(kept)


def _byte(batch: DecodedBatch, rows: npt.NDArray[np.intp], at: npt.NDArray[np.int64] | int) -> npt.NDArray[np.uint8]:
    """A byte of each payload, 0 beyond its end."""
    value: npt.NDArray[np.uint8] = batch.data.take(batch.payload.take(rows) + at, mode="clip")
    value[batch.payload_len.take(rows) <= at] = 0
    return value


def _modbus(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Answers to function 43 (device identification) and 17 (report server id)."""
    function = _byte(batch, rows, 7)
    found: npt.NDArray[np.bool_] = (function == 0x2B) | (function == 0x11)
    return found


def _cip(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """List Identity, and Get_Attributes_All answers in SendRRData and SendUnitData that end where their name does."""
    command = _byte(batch, rows, 0)
    found: npt.NDArray[np.bool_] = command == 0x63
    for one, service in ((0x6F, 40), (0x70, 46)):
        mine = np.flatnonzero(command == one)
        mine = mine[_byte(batch, rows.take(mine), service) == 0x81]
        name = _byte(batch, rows.take(mine), service + 18)
        found[mine] = (name > 0) & (batch.payload_len.take(rows.take(mine)) == service + 19 + name.astype(np.int64))
    return found


def _s7(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """User data answers of the CPU functions (SZL)."""
    found: npt.NDArray[np.bool_] = (
        (_byte(batch, rows, 7) == 0x32) & (_byte(batch, rows, 8) == 7) & (_byte(batch, rows, 22) == 0x84)
    )
    return found


def _bacnet(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """I-Am, and answers to reads of a device object."""
    at = np.where(_byte(batch, rows, 1) == 4, 10, 4).astype(np.int64)
    control = _byte(batch, rows, at + 1)
    at += 2
    at += np.where(control & 0x20, 3 + _byte(batch, rows, at + 2), 0)
    at += np.where(control & 0x08, 3 + _byte(batch, rows, at + 2), 0)
    at += np.where(control & 0x20, 1, 0)
    kind, service = _byte(batch, rows, at), _byte(batch, rows, at + 2)
    i_am = (kind == 0x10) & (_byte(batch, rows, at + 1) == 0)
    device = (_byte(batch, rows, at + 3) == 0x0C) & (_byte(batch, rows, at + 4) == 2) & (_byte(batch, rows, at + 5) < 0x40)
    found: npt.NDArray[np.bool_] = i_am | ((kind == 0x30) & ((service == 0x0C) | (service == 0x0E)) & device)
    return found


def _dcp(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Frame ids of DCP: hello, get and set, identify answers."""
    found: npt.NDArray[np.bool_] = (_byte(batch, rows, 0) == 0xFE) & np.isin(_byte(batch, rows, 1), (0xFC, 0xFD, 0xFF))
    return found


_MASKS: Final = {"modbus": _modbus, "cip": _cip, "s7": _s7, "bacnet": _bacnet, "dcp": _dcp}


def add_text(said: dict[Address, Texts], address: Address, told: Told, time: int) -> None:
    """Note a text; the bounds are kept so that no order of notes or merges makes a difference within them."""
    if address not in said and len(said) >= MAX_SPEAKERS:
        return
    texts = said.setdefault(address, {})
    first, last = texts.get(told, (time, time))
    texts[told] = (min(first, time), max(last, time))
    if len(texts) > MAX_TEXTS:
        del texts[max(texts)]


def merge_said(a: dict[Address, Texts], b: dict[Address, Texts]) -> dict[Address, Texts]:
    """Both together: union of texts, earliest first and latest last time."""
    out = {address: dict(texts) for address, texts in a.items()}
    for address, texts in b.items():
        mine = out.setdefault(address, {})
        for told, (first, last) in texts.items():
            have = mine.get(told, (first, last))
            mine[told] = (min(have[0], first), max(have[1], last))
        for told in sorted(mine)[MAX_TEXTS:]:
            del mine[told]
    return out
