"""What devices of five protocols say, byte for byte, for plants that run faster than time.

An *act* is what a client wants: ("read", i), ("write", i, value), ("new-write", i, value), ("identify",), ("restart",),
("program", i), ("odd", i). A `Speech` puts it into a request and answers one for a device.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Protocol

Act = tuple[Any, ...]


@dataclass
class Voice:
    """What a device says: `values` by place, which swing around `middle`, an identity text, and a status byte."""

    values: list[int]
    identity: bytes = b"TK-8 v1.2"
    status: int = 0
    middle: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember where the values began."""
        self.middle = self.middle or list(self.values)


class Speech(Protocol):
    """One protocol: requests of acts, answers to requests, and what opens a connection."""

    name: str
    port: int
    udp: bool

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        """Exchanges before the first request of a connection."""
        ...

    def request(self, act: Act, number: int, session: int) -> bytes:
        """The request of an act; `number` counts requests of the connection."""
        ...

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        """The device's answer."""
        ...


def handle(number: int) -> int:
    """A session's handle, without order as stacks give them."""
    return number * 2_654_435_761 & 0xFFFFFFFF


class Modbus:
    """Modbus/TCP (Messaging on TCP/IP Implementation Guide 1.0b)."""

    name, port, udp = "modbus", 502, False

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        return []

    def request(self, act: Act, number: int, session: int) -> bytes:
        kind, i = act[0], act[1] if len(act) > 1 else 0
        if kind == "read":
            body = struct.pack(">BHH", (3, 4, 1, 3)[i % 4], 10 * i, 8)
        elif kind == "write":
            body = struct.pack(">BHH", 6, 4 + i, act[2])
        elif kind == "new-write":
            body = struct.pack(">BHHBH", 16, 100 + i, 1, 2, act[2])
        elif kind == "identify":
            body = b"\x2b\x0e\x01\x00"
        elif kind == "restart":
            body = b"\x08\x00\x01\x00\x00"
        elif kind == "program":
            body = bytes([90, 0, 0x30 + i % 4, i]) + bytes((i * 37 + k * 11) & 255 for k in range(40))
        else:
            body = struct.pack(">BHH", 9 + i % 90, 0, 1)
        return struct.pack(">HHHB", number & 0xFFFF, 0, len(body) + 1, 1) + body

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        code, kind = request[7], act[0]
        if refuse or kind == "odd":
            body = bytes([code | 0x80, 4 if refuse else 1])
        elif code in (3, 4):
            data = struct.pack(">8H", *((voice.values[(act[1] + k) % len(voice.values)] + k) & 0xFFFF for k in range(8)))
            body = bytes([code, len(data)]) + data
        elif code == 1:
            body = bytes([1, 1, voice.values[0] >> 6 & 1 | voice.status & 0x80])
        elif code == 43:
            text = voice.identity
            body = b"\x2b\x0e\x01\x01\x00\x00\x01\x00" + bytes([len(text)]) + text
        else:
            body = request[7:12]
        return request[:4] + struct.pack(">HB", len(body) + 1, request[6]) + body


class Enip:
    """EtherNet/IP with unconnected CIP messages (CIP volumes 1 and 2)."""

    name, port, udp = "enip", 44818, False
    tags = ("Level", "Flow", "Zone_1", "Speed", "Setpoint", "Limit_Hi")

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        ask = struct.pack("<HHII8sI", 0x65, 4, 0, 0, bytes(8), 0) + b"\1\0\0\0"
        tell = struct.pack("<HHII8sI", 0x65, 4, handle(number), 0, bytes(8), 0) + b"\1\0\0\0"
        return [(ask, tell)]

    def _tag(self, i: int) -> bytes:
        name = self.tags[i % len(self.tags)].encode()
        path = b"\x91" + bytes([len(name)]) + name + bytes(len(name) % 2)
        return bytes([len(path) // 2]) + path

    def _wrap(self, cip: bytes, session: bytes, context: bytes) -> bytes:
        data = bytes(4) + b"\x05\0\x02\0\0\0\0\0\xb2\0" + struct.pack("<H", len(cip)) + cip
        return struct.pack("<HH4sI8sI", 0x6F, len(data), session, 0, context, 0) + data

    def request(self, act: Act, number: int, session: int) -> bytes:
        kind, i = act[0], act[1] if len(act) > 1 else 0
        if kind == "read":
            cip = b"\x4c" + self._tag(i) + b"\1\0"
        elif kind == "write":
            cip = b"\x4d" + self._tag(4) + struct.pack("<HHi", 0xC4, 1, act[2])
        elif kind == "new-write":
            cip = b"\x4d" + self._tag(5) + struct.pack("<HHi", 0xC4, 1, act[2])
        elif kind == "identify":
            cip = b"\x01\x02\x20\x01\x24\x01"
        elif kind == "restart":
            cip = b"\x05\x02\x20\x01\x24\x01\x00"
        elif kind == "program":
            cip = (b"\x4b\x02\x20\x8e\x24\x01", b"\x50\x02\x20\x37\x24\x01")[i > 0]
            cip += bytes((i * 37 + k * 11) & 255 for k in range(4 + 36 * (i > 0)))
        else:
            cip = bytes([0x30 + i % 40, 2, 0x20, 0x64 + i % 5, 0x24, 1])
        return self._wrap(cip, struct.pack("<I", handle(session)), struct.pack("<Q", number))

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        code, kind = request[40], act[0]
        if refuse or kind == "odd":
            cip = bytes([code | 0x80, 0, 0x10 if refuse else 8, 0])
        elif kind == "read":
            cip = bytes([code | 0x80, 0, 0, 0]) + struct.pack("<Hi", 0xC4 | voice.status << 8, voice.values[act[1] % 4])
        elif kind == "identify":
            cip = bytes([code | 0x80, 0, 0, 0]) + b"\1\0\x0e\0\x36\0" + bytes([len(voice.identity)]) + voice.identity
        else:
            cip = bytes([code | 0x80, 0, 0, 0])
        return self._wrap(cip, request[4:8], request[12:20])


class Bacnet:
    """BACnet/IP (ASHRAE 135 annex J; clause 20)."""

    name, port, udp = "bacnet", 47808, True

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        return []

    @staticmethod
    def _link(apdu: bytes, control: int) -> bytes:
        return b"\x81\x0a" + struct.pack(">H", 6 + len(apdu)) + bytes([1, control]) + apdu

    def request(self, act: Act, number: int, session: int) -> bytes:
        kind, i = act[0], act[1] if len(act) > 1 else 0
        head = bytes([0, 5, number & 0xFF])
        if kind == "read":
            body = b"\x0c\x0c" + struct.pack(">I", i % 4) + b"\x19\x55"
        elif kind == "write":
            body = b"\x0f\x0c" + struct.pack(">I", 2 << 22 | i) + b"\x19\x55\x3e\x44" + struct.pack(">f", act[2]) + b"\x3f"
        elif kind == "new-write":
            body = b"\x0f\x0c" + struct.pack(">I", 4 << 22 | i) + b"\x19\x55\x3e\x91" + bytes([act[2] & 1]) + b"\x3f\x39\x08"
        elif kind == "identify":
            body = b"\x0c\x0c" + struct.pack(">I", 8 << 22 | 1) + b"\x19\x46"
        elif kind == "restart":
            body = b"\x14\x09\x00"
        elif kind == "program":
            data = bytes((i * 37 + k * 11) & 255 for k in range(40))
            body = (
                b"\x07\xc4" + struct.pack(">I", 10 << 22 | 1) + b"\x0e\x31" + bytes([i * 8 & 127]) + b"\x65\x28" + data + b"\x0f"
            )
        else:
            body = bytes([(3, 11, 13, 25, 27, 28, 29, 5, 8, 9)[i % 10], 9, i & 127])
        return self._link(head + body, 4)

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        invoke, service, kind = request[8], request[9], act[0]
        if refuse or kind == "odd":
            return self._link(bytes([0x50, invoke, service, 0x91, 0 if refuse else 5, 0x91, 25 if refuse else 3]), 0)
        if kind == "read":
            value = struct.pack(">f", voice.values[act[1] % 4] / 16)
            return self._link(b"\x30" + bytes([invoke]) + request[9:17] + b"\x3e\x44" + value + b"\x3f", 0)
        if kind == "identify":
            text = b"\x75" + bytes([len(voice.identity) + 1, 0]) + voice.identity
            return self._link(b"\x30" + bytes([invoke]) + request[9:17] + b"\x3e" + text + b"\x3f", 0)
        return self._link(bytes([0x20, invoke, service]), 0)


class S7:
    """S7comm over TPKT and COTP (RFC 1006, ISO 8073)."""

    name, port, udp = "s7", 102, False

    @staticmethod
    def _tpkt(body: bytes) -> bytes:
        return struct.pack(">BBH", 3, 0, 4 + len(body)) + body

    def _pdu(self, kind: int, number: int, param: bytes, data: bytes = b"", code: bytes = b"") -> bytes:
        head = struct.pack(">BBHHHH", 0x32, kind, 0, number & 0xFFFF, len(param), len(data))
        return self._tpkt(b"\x02\xf0\x80" + head + code + param + data)

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        connect = b"\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a"
        confirm = b"\x00\x01\x00\x06\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02"
        setup = b"\xf0\x00\x00\x01\x00\x01\x01\xe0"
        return [
            (self._tpkt(b"\x11\xe0" + connect), self._tpkt(b"\x11\xd0" + confirm)),
            (self._pdu(1, 0, setup), self._pdu(3, 0, setup, code=b"\0\0")),
        ]

    @staticmethod
    def _item(i: int, area: int = 0x84) -> bytes:
        return b"\x12\x0a\x10\x02" + struct.pack(">HHB", 4, 10 + i, area) + (i * 32).to_bytes(3, "big")

    def request(self, act: Act, number: int, session: int) -> bytes:
        kind, i = act[0], act[1] if len(act) > 1 else 0
        if kind == "read":
            return self._pdu(1, number, b"\x04\x01" + self._item(i % 4))
        if kind == "write":
            return self._pdu(1, number, b"\x05\x01" + self._item(4 + i), b"\0\x04\0\x20" + struct.pack(">I", act[2]))
        if kind == "new-write":
            return self._pdu(1, number, b"\x05\x01" + self._item(30 + i, 0x83), b"\0\x04\0\x20" + struct.pack(">I", act[2]))
        if kind == "identify":
            return self._pdu(7, number, b"\0\1\x12\x04\x11\x44\x01\x00", b"\xff\x09\0\x04\0\x11\0\x01")
        if kind == "restart":
            return self._pdu(1, number, b"\x29\0\0\0\0\0\x09P_PROGRAM")
        if kind == "program":
            step = (0x1A, 0x1B, 0x1B, 0x1C)[min(i, 3)]
            block = b"_0A00001P" + bytes((i * 37 + k * 11) & 255 for k in range(20 * (step == 0x1B)))
            return self._pdu(1, number, bytes([step, 0, 1, 0, 0, 0, 0, i, 9]) + block)
        return self._pdu(1, number, bytes([0x40 + i % 100, 0, 1, 0]))

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        number, kind = struct.unpack_from(">H", request, 11)[0], act[0]
        function = request[17:18]
        if kind == "identify" and not refuse:
            param = b"\0\1\x12\x08\x12\x84\x01\x01\0\0\0\0"
            return self._pdu(7, number, param, b"\xff\x09" + struct.pack(">H", len(voice.identity)) + voice.identity)
        if refuse or kind == "odd":
            return self._pdu(3, number, function, code=b"\x85\0" if refuse else b"\x81\x04")
        if kind == "read":
            data = b"\xff\x04\0\x20" + struct.pack(">HH", voice.status, voice.values[act[1] % 4] & 0xFFFF)
            return self._pdu(3, number, function + b"\1", data, code=b"\0\0")
        if kind in ("write", "new-write"):
            return self._pdu(3, number, function + b"\1", b"\xff", code=b"\0\0")
        return self._pdu(3, number, function, code=b"\0\0")


class Maker:
    """A maker's own protocol, which no decoder knows: there are never words."""

    name, port, udp = "maker", 20547, False

    def opening(self, number: int) -> list[tuple[bytes, bytes]]:
        return [(self._frame(0x01, 0, b"HELO"), self._frame(0x81, 0, struct.pack(">I", handle(number))))]

    @staticmethod
    def _frame(code: int, number: int, body: bytes) -> bytes:
        return struct.pack(">HHBB", 0xD05E, 4 + len(body), code, number & 0xFF) + body + b"\x7e\0"

    def request(self, act: Act, number: int, session: int) -> bytes:
        kind, i = act[0], act[1] if len(act) > 1 else 0
        codes = {"read": 0x10, "write": 0x20, "new-write": 0x21, "identify": 0x05, "restart": 0x0F, "program": 0x40}
        code = codes.get(kind, 0x50 + i % 40)
        body = struct.pack(">HI", i, act[2] if len(act) > 2 else 0)
        return self._frame(code, number, body + bytes((i * 37 + k) & 255 for k in range(32 * (kind == "program"))))

    def answer(self, request: bytes, act: Act, voice: Voice, *, refuse: bool = False) -> bytes:
        code, number = request[4], request[5]
        if refuse or act[0] == "odd":
            return self._frame(0xFF, number, bytes([code, 9 if refuse else 2]))
        if act[0] == "read":
            value = struct.pack(">BH", voice.status, voice.values[act[1] % 4] & 0xFFFF)
            return self._frame(code | 0x80, number, request[6:8] + value)
        if act[0] == "identify":
            return self._frame(code | 0x80, number, voice.identity)
        return self._frame(code | 0x80, number, b"\0")


SPEECHES: dict[str, Speech] = {s.name: s for s in (Modbus(), Enip(), Bacnet(), S7(), Maker())}
