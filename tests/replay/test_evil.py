"""Bad captures of others: each is read, counted as damaged, or refused in one line; quickly and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import dpkt
import pytest

from appliance.decode.columns import HARMLESS, Damage
from appliance.decode.headers import DecodeState, decode
from appliance.host.files import open_capture
from appliance.packets.reader import batches

SECONDS, MEGABYTES = 2, 300


def captures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".csv", ".toml", ".md"))


MEASURE = """
import json, re, sys, time
from pathlib import Path
from appliance.errors import CaptureError
from tests.replay.test_evil import captures, run
refused, harmed, longest = [], 0, 0.0
for path in captures(Path(sys.argv[1])):
    begin = time.monotonic()
    try:
        harmed += run(path)[1]
    except CaptureError as error:
        refused.append((str(path), str(error)))
    longest = max(longest, time.monotonic() - begin)
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # ru_maxrss would count the parent's
print(json.dumps([refused, harmed, longest, int(peak[1])]))
"""


def run(path: Path) -> tuple[int, int, int]:
    """Frames, harmed frames and payload bytes of a capture."""
    state, frames, harmed, payload = DecodeState(), 0, 0, 0
    with open_capture(path) as source:
        for packets in batches(source):
            batch = decode(packets, state)
            frames += len(batch)
            harmed += int(sum(Damage(code) not in HARMLESS for code in batch.damage.tolist()))
            payload += int(batch.payload_len.sum())
        assert source.truncated == bool(source.reason)
    return frames, harmed, payload


@pytest.mark.parametrize("folder", ["evil", "other", "cases"])
def test_every_capture_is_read_or_refused_quickly_and_in_little_memory(shared: Path, folder: str) -> None:
    paths = captures(shared / "pcaps" / folder)
    assert len(paths) >= 24
    # a process of its own: the peak of this one is what other tests left
    command = [sys.executable, "-c", MEASURE, str(shared / "pcaps" / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    refused, harmed, longest, peak = json.loads(done.stdout)
    assert longest < SECONDS
    assert peak < MEGABYTES * 1024
    assert all(text.startswith(f"{path}: ") and "\n" not in text for path, text in refused)
    if folder == "evil":
        assert len(refused) < 20, refused
        assert harmed > 50
    else:
        assert not refused


def layers(raw: bytes) -> tuple[int, int, bytes] | None:
    """Ports and payload of an unfragmented TCP or UDP frame over Ethernet, as dpkt reads them."""
    try:
        network = dpkt.ethernet.Ethernet(raw).data
    except dpkt.Error:
        return None
    if isinstance(network, dpkt.ip.IP) and (network.offset or network.mf):
        return None
    transport = getattr(network, "data", None)
    if not isinstance(transport, dpkt.tcp.TCP | dpkt.udp.UDP):
        return None
    data = transport.data if isinstance(transport.data, bytes) else bytes(transport.data)
    return transport.sport, transport.dport, data


@pytest.mark.parametrize("folder", ["cases/enip-ctf", "cases/modbus-fake-command", "cases/bacnet-reinitialize", "other/s7comm"])
def test_ports_and_payloads_agree_with_dpkt(shared: Path, folder: str) -> None:
    compared = 0
    for path in captures(shared / "pcaps" / folder):
        state = DecodeState()
        with open_capture(path) as source, path.open("rb") as file:
            peer = iter(dpkt.pcap.UniversalReader(file))
            for packets in batches(source):
                batch = decode(packets, state)
                for row in range(len(batch)):
                    _, raw = next(peer)
                    assert packets.bytes_of(row) == raw
                    wanted = layers(raw)
                    taken_out = batch.dup[row] or batch.repeat[row] or batch.damage[row]
                    if wanted is None or taken_out or packets.link[row] != 1:
                        continue
                    assert (batch.sport[row], batch.dport[row], batch.payload_of(row)) == wanted, f"{path}: {batch.frame[row]}"
                    compared += 1
            assert next(peer, None) is None
    assert compared > 1000
