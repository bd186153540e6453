"""What Python does without columns: dpkt over the records or over the layers. usage: peers.py raw|decode FILE."""

import sys
from pathlib import Path

import dpkt


def raw(path: Path) -> int:
    """Frames in the file; each is cut out of it and nothing more."""
    with path.open("rb") as file:
        return sum(1 for _ in dpkt.pcap.Reader(file))


def decode(path: Path) -> int:
    """Frames in the file; each is decoded up to its TCP or UDP payload."""
    frames = payload = 0
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            frames += 1
            network = dpkt.ethernet.Ethernet(frame).data
            transport = getattr(network, "data", b"")
            payload += len(getattr(transport, "data", b""))
    return frames


if __name__ == "__main__":
    print({"raw": raw, "decode": decode}[sys.argv[1]](Path(sys.argv[2])))
