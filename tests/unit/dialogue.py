"""Made-up plants: frames with right TCP numbers, polled devices with seeded values, and learning and detecting in batches."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.meaning.model import Model, derive
from appliance.packets.batch import batch_of
from appliance.pipeline import learn_session
from tests.unit.frames import SECOND, ethernet, ipv4, tcp, udp

Frames = list[tuple[int, bytes]]
START = 1_700_000_000 * SECOND
MILLI = SECOND // 1000
CENTRE = "10.0.0.1"


def mac_of(address: str) -> bytes:
    return b"\x02\x00" + bytes(map(int, address.split(".")))


@dataclass
class Wire:
    """Collects frames; knows the sequence numbers of every direction."""

    frames: Frames = field(default_factory=list)
    _seq: dict[tuple[str, int, str, int], int] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def _put(self, at: int, proto: int, body: bytes, src: str, dst: str, mac: bytes | None = None) -> None:
        packet = ipv4(proto, body, src, dst, ipid=next(self._number) & 0xFFFF)
        self.frames.append((at, ethernet(0x0800, packet, src=mac or mac_of(src), dst=mac_of(dst))))

    def tcp(
        self, at: int, src: str, sport: int, dst: str, dport: int, body: bytes = b"", flags: int = 0x18, mac: bytes | None = None
    ) -> None:
        key = (src, sport, dst, dport)
        seq = self._seq.get(key, 1000)
        self._put(at, 6, tcp(seq, body, sport, dport, flags), src, dst, mac)
        self._seq[key] = seq + len(body) + (flags & 0x03 != 0)

    def refuse(self, at: int, src: str, sport: int, dst: str, dport: int) -> None:
        """What a host answers where nobody listens: RST, ACK with sequence number 0."""
        self._put(at, 6, tcp(0, b"", sport, dport, 0x14), src, dst)

    def open(self, at: int, client: str, sport: int, server: str, dport: int) -> None:
        self._seq.pop((client, sport, server, dport), None)
        self._seq.pop((server, dport, client, sport), None)
        self.tcp(at, client, sport, server, dport, flags=0x02)
        self.tcp(at + 1000, server, dport, client, sport, flags=0x12)
        self.tcp(at + 2000, client, sport, server, dport, flags=0x10)

    def udp(self, at: int, src: str, sport: int, dst: str, dport: int, body: bytes, mac: bytes | None = None) -> None:
        self._put(at, 17, udp(body, sport, dport), src, dst, mac)

    def arp(self, at: int, src: str, target: str) -> None:
        sender = mac_of(src) + bytes(map(int, src.split(".")))
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + sender + bytes(6) + bytes(map(int, target.split(".")))
        self.frames.append((at, ethernet(0x0806, body + bytes(18), src=mac_of(src), dst=b"\xff" * 6)))

    def sorted(self) -> Frames:
        return sorted(self.frames, key=lambda frame: frame[0])


def request(number: int, unit: int, function: int, register: int, value: int) -> bytes:
    """Eight bytes of head with the length at 4, and what is asked: a protocol in the shape of Modbus/TCP."""
    return struct.pack(">HHHBBHH", number & 0xFFFF, 0, 6, unit, function, register, value)


def answer(number: int, unit: int, function: int, data: bytes) -> bytes:
    return struct.pack(">HHHBBB", number & 0xFFFF, 0, 3 + len(data), unit, function, len(data)) + data


@dataclass
class Plant:
    """One centre polls devices on TCP port 7001, three registers in turn, ten requests a second.

    edit   may change the payload of poll `n` of device `d`: (n, d, asks, payload) -> payload, or None to leave the frame out
    """

    seed: int = 1
    devices: int = 2
    port: int = 7001
    first_number: int = 0
    edit: Callable[[int, int, bool, bytes], bytes | None] = lambda n, d, asks, payload: payload
    opens: bool = True
    sport: int = 40000

    def run(self, polls: int, start: int = START) -> Wire:
        wire, random = Wire(), np.random.default_rng(self.seed)
        for d in range(self.devices):
            if self.opens:
                wire.open(start + d * MILLI, CENTRE, self.sport + d, self.address(d), self.port)
        for n in range(polls):
            for d in range(self.devices):
                at = start + SECOND + n * 100 * MILLI + d * 20 * MILLI + int(random.integers(0, MILLI))
                register, size = (n % 3) * 100, 2 + n % 3
                data = random.integers(0, 256, 2 * size, np.uint8).tobytes()
                ask = self.edit(n, d, True, request(self.first_number + n, d + 1, 3, register, size))
                tell = self.edit(n, d, False, answer(self.first_number + n, d + 1, 3, data))
                if ask is not None:
                    wire.tcp(at, CENTRE, self.sport + d, self.address(d), self.port, ask)
                if tell is not None:
                    wire.tcp(
                        at + 2 * MILLI + int(random.integers(0, 50_000)), self.address(d), self.port, CENTRE, self.sport + d, tell
                    )
        return wire

    @staticmethod
    def address(device: int) -> str:
        return f"10.0.0.{11 + device}"


def passes(frames: Frames, most: int = 32768) -> Callable[[], Iterator[DecodedBatch]]:
    """The frames as decoded batches of at most `most`, anew at every call."""

    def once() -> Iterator[DecodedBatch]:
        state, numbers = DecodeState(), count(1)
        for at in range(0, len(frames), most):
            yield decode(batch_of(frames[at : at + most], numbers=numbers), state)

    return once


def learn(frames: Frames, most: int = 32768) -> Baseline:
    return learn_session(passes(frames, most))


def judge(model: Model, frames: Frames, most: int = 32768) -> list[Finding]:
    """All findings, those at the end of the input included."""
    detector = Detector(model)
    found = [finding for batch in passes(frames, most)() for finding in detector.judge(batch)]
    return found + detector.finish()


def learned(polls: int = 600, seed: int = 1) -> Model:
    """What is normal in the plant, from `polls` polls."""
    return derive(learn(Plant(seed).run(polls).sorted()))
