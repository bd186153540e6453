"""A load generator: frames through a PACKET_TX_RING, at a given rate, from one process. Linux, root.

usage: sender.py INTERFACE --rate PPS --seconds S [--kind poll|unknown|mixed] [--size BYTES] [--assets N]

Frames are written into the ring once; then only their status is set and the kernel is asked to send. Prints one JSON line
with the frames that left. Runs in the network namespace it is started in.
"""

from __future__ import annotations

import argparse
import json
import mmap
import socket
import struct
import time

import numpy as np
import numpy.typing as npt

SOL_PACKET, PACKET_VERSION, PACKET_TX_RING, PACKET_LOSS, PACKET_QDISC_BYPASS = 263, 10, 13, 14, 20
TPACKET_V2, SLOT, HEAD, SEND, FREE = 1, 2048, 32, 1, 0
BLOCK = 1 << 17
STRANGER = 0xFF42  # 10.0.255.66


class Sender:
    """Frames of one interface, sent round and round."""

    def __init__(self, interface: str, frames: list[bytes]) -> None:
        per_block = BLOCK // SLOT
        self.slots = -(-len(frames) // per_block) * per_block
        frames = (frames * (self.slots // len(frames) + 1))[: self.slots]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self.socket.setsockopt(SOL_PACKET, PACKET_LOSS, 1)
        request = struct.pack("IIII", BLOCK, self.slots // per_block, SLOT, self.slots)
        self.socket.setsockopt(SOL_PACKET, PACKET_TX_RING, request)
        self.socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.socket.bind((interface, 0))
        self.memory = mmap.mmap(self.socket.fileno(), self.slots * SLOT)
        self.ring: npt.NDArray[np.uint8] = np.frombuffer(self.memory, np.uint8).reshape(self.slots, SLOT)
        self.status = self.ring[:, :4].view(np.uint32)[:, 0]
        lengths = self.ring[:, 4:8].view(np.uint32)[:, 0]
        for slot, raw in enumerate(frames):
            self.ring[slot, HEAD : HEAD + len(raw)] = np.frombuffer(raw, np.uint8)
            lengths[slot] = len(raw)
        self.at = 0

    def send(self, count: int) -> int:
        """Send the next `count` frames (at most the ring); returns how many were given to the kernel."""
        count = min(count, self.slots - self.at)
        self.status[self.at : self.at + count] = SEND
        self.socket.send(b"")
        self.at = (self.at + count) % self.slots
        return count

    def run(self, rate: float, seconds: float) -> tuple[int, float]:
        """Send at a steady rate; returns frames and seconds."""
        begin = time.monotonic()
        sent = 0
        while (now := time.monotonic() - begin) < seconds:
            due = int(now * rate) - sent
            if due < max(1, rate // 2000):
                time.sleep(0.0004)
                continue
            while due > 0:
                gone = self.send(min(due, 512))
                sent, due = sent + gone, due - gone
        return sent, time.monotonic() - begin


def udp(client: int, server: int, port: int, payload: bytes, sport: int = 40000) -> bytes:
    """An Ethernet frame with IPv4 and UDP; hosts are numbers below 2**24, in 10.0.0.0/8."""
    mac = (b"\x02\x00" + struct.pack("!I", server)) + (b"\x02\x00" + struct.pack("!I", client))
    size = 28 + len(payload)
    head = struct.pack("!BBHHHBBHII", 0x45, 0, size, 0, 0, 64, 17, 0, 10 << 24 | client, 10 << 24 | server)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return (mac + b"\x08\x00" + head + struct.pack("!HHHH", sport, port, 8 + len(payload), 0) + payload).ljust(60, b"\0")


def polls(assets: int) -> list[bytes]:
    """One poll and one answer for each of so many devices, all of one master; Modbus-like, over UDP."""
    frames = []
    for device in range(assets):
        request = struct.pack("!HHHBBHH", device & 0xFFFF, 0, 6, 1, 3, 100, 10)
        answer = struct.pack("!HHHBBB", device & 0xFFFF, 0, 23, 1, 3, 20) + bytes(range(20))
        port = 20_000 + device
        frames += [udp(1, 256 + device, 502, request, port), udp(256 + device, 1, port, answer, 502)]
    return frames


def unknown(count: int, seed: int = 1) -> list[bytes]:
    """Frames of one stranger to all devices, whose payloads nobody has seen."""
    generator = np.random.default_rng(seed)
    return [udp(STRANGER, 256 + k % 200, 502, generator.bytes(40)) for k in range(count)]


def main() -> None:
    """Send, and say what was sent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--kind", choices=("poll", "unknown"), default="poll")
    parser.add_argument("--assets", type=int, default=200)
    options = parser.parse_args()
    frames = polls(options.assets) if options.kind == "poll" else unknown(16384)
    sent, took = Sender(options.interface, frames).run(options.rate, options.seconds)
    print(json.dumps({"sent": sent, "seconds": round(took, 3), "rate": round(sent / took)}))


if __name__ == "__main__":
    main()
