"""The opener, the ring and the filter against a real kernel: what was sent is what is read, through all that links do."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.errors import LiveError
from appliance.host.capture.af_packet import MappedRing, open_ring, open_rings
from appliance.host.capture.opening import Close, Gone, Link, Message, Open, Opened, Refused, decode, encode, receive, send
from appliance.packets.fanout import Partition, pair_hash
from appliance.packets.filters import Instruction, assemble
from appliance.packets.ringshape import RingShape
from tests.bench.sender import polls, udp
from tests.lab import net
from tests.lab.wires import Wire, entered
from tests.unit.shares import run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

SMALL = RingShape(1 << 16, 16, 10)
MACS = b"\x02\x5e\0\0\0\x01\x02\x5e\0\0\0\x02"
DEADLINE = 10.0


def frame(text: bytes, ethertype: bytes = b"\x88\xb5") -> bytes:
    return (MACS + ethertype + text).ljust(60, b"\0")


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("cap") as made:
        yield made


def read(ring: MappedRing, wanted: int) -> list[bytes]:
    """So many frames, each as bytes; fewer where they do not come in time."""
    found: list[bytes] = []
    end = time.monotonic() + DEADLINE
    while len(found) < wanted and time.monotonic() < end:
        batch = ring.reader.take(len(found) + 1)
        if batch is None:
            time.sleep(0.01)
            continue
        assert batch.frame[0] == len(found) + 1
        assert abs(int(batch.time[0]) - time.time_ns()) < 5e9
        found += [batch.bytes_of(i) for i in range(len(batch))]
    return found


def opened(wire: Wire, program: tuple[Instruction, ...] = ()) -> MappedRing:
    with entered(wire.near):
        return MappedRing(open_ring("w0", socket.if_nametoindex("w0"), SMALL, program), SMALL, 1, 0)


def test_what_is_sent_is_read_whole_with_its_tags(wire: Wire) -> None:
    ring = opened(wire)
    tagged = MACS + b"\x81\x00\x20\x0a\x88\xb5" + b"tagged".ljust(60, b"\0")
    double = MACS + b"\x88\xa8\x00\x14\x81\x00\x00\x1e\x88\xb5" + b"double".ljust(60, b"\0")
    sent = [frame(b"plain"), tagged, double, frame(b"x" * 1400), frame(b"last")]
    wire.send(*sent)
    assert read(ring, len(sent)) == sent
    assert (ring.count().frames, ring.count().dropped) == (len(sent), 0)
    ring.close()


def test_what_the_kernel_still_holds_is_known_of(wire: Wire) -> None:
    ring = opened(wire)
    assert ring.reader.unread() is None
    for turn in range(2 * SMALL.blocks + 3):  # more than once around
        before = time.time_ns()
        wire.send(frame(b"x%d" % turn))
        first = ring.reader.unread()  # 10 ms may have passed on a busy machine: then it is handed over, and still unread
        assert first is not None
        assert before - 5e9 < first < time.time_ns()
        assert read(ring, 1) == [frame(b"x%d" % turn)]
        assert ring.reader.unread() is None
    ring.close()


def test_own_frames_are_not_seen(wire: Wire) -> None:
    ring = opened(wire)
    with entered(wire.near), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("w0", 0))
        own.send(frame(b"own"))
    wire.send(frame(b"other"))
    assert read(ring, 1) == [frame(b"other")]
    ring.close()


def test_the_kernel_runs_the_assembled_filter_and_keeps_it(wire: Wire) -> None:
    ring = opened(wire, tuple(assemble(["not ethertype 0x88b6", "not mac 02:5e:00:00:00:77"])))
    other = MACS[:6] + b"\x02\x5e\0\0\0\x77" + b"\x88\xb5" + bytes(46)
    wire.send(frame(b"a"), frame(b"b", b"\x88\xb6"), other, frame(b"c"))
    assert read(ring, 2) == [frame(b"a"), frame(b"c")]
    assert ring.count().frames == 2
    with pytest.raises(PermissionError):
        ring.socket.setsockopt(socket.SOL_SOCKET, 27, 0)  # SO_DETACH_FILTER
    ring.close()


def test_a_full_ring_counts_what_it_lost(wire: Wire) -> None:
    ring = opened(wire)
    sent = 2 * SMALL.size // 1500
    wire.send(*[frame(b"y" * 1400)] * sent)
    counts = ring.count()
    assert counts.dropped > 0
    assert len(read(ring, counts.frames - counts.dropped)) == counts.frames - counts.dropped
    assert counts.frames == sent
    ring.close()


def frames_of_pairs() -> list[bytes]:
    """Polls and answers, bare, with a tag, with two tags; then ARP and frames that are no IP."""
    both = polls(60)
    tagged = [raw[:12] + bytes.fromhex("8100200a") + raw[12:] for raw in both]
    double = [raw[:12] + bytes.fromhex("88a800148100001e") + raw[12:] for raw in both]
    other = [raw[:12] + kind + bytes(46) for raw in both[:40] for kind in (b"\x88\x92", b"\x08\x06")]
    return [*both, *tagged, *double, *other]


def test_the_kernel_divides_frames_as_we_reckon_and_no_frame_comes_twice(wire: Wire) -> None:
    partition = Partition(3, {pair_hash(0x0A000001, 0x0A000100 + n): n % 3 for n in range(20)})
    with entered(wire.near):
        index = socket.if_nametoindex("w0")
        spread = open_rings("w0", index, SMALL, assemble(["not port 1"]), shares=3, spread=partition.program())
        alone = MappedRing(open_ring("w0", index, SMALL), SMALL, 1, 0)
    rings = [MappedRing(ring, SMALL, 1, 0) for ring in spread]
    sent, refused = frames_of_pairs(), udp(1, 2, 1, b"refused by the filter")
    wire.send(*sent, refused)
    assert read(alone, len(sent) + 1) == [*sent, refused]
    for share, ring in enumerate(rings):
        wanted = [raw for raw in sent if run(partition.program(), raw) % 3 == share]
        assert len(wanted) > 40
        assert read(ring, len(wanted)) == wanted
        assert (ring.count().frames, ring.count().dropped) == (len(wanted), 0)
    for ring in (*rings, alone):
        ring.close()


def test_a_ring_is_read_on_where_its_last_reader_died(wire: Wire) -> None:
    with entered(wire.near):
        ring = open_ring("w0", socket.if_nametoindex("w0"), SMALL)
    seen = []
    for round_ in range(3 * SMALL.blocks):  # several times round the ring
        reader = MappedRing(ring.dup(), SMALL, 1, 0)
        wire.send(frame(b"%d" % round_))
        seen += read(reader, 1)
        reader.close()
        time.sleep(0.002)
    assert seen == [frame(b"%d" % round_) for round_ in range(3 * SMALL.blocks)]
    ring.close()


def test_the_opener_passes_a_ring_for_every_share_also_after_it_was_down(wire: Wire) -> None:
    opener = Opener(wire)
    net.ip_batch(["link set w0 down"], wire.near)
    send(opener.channel, Open("w0", SMALL, True, True, (), 2, Partition(2).program()))
    message, rings = opener.next()
    if isinstance(message, Refused):  # before Linux 6.9 only rings of a link that is up are joined
        net.ip_batch(["link set w0 up"], wire.near)
        mapped = opener.rings()
    else:
        assert isinstance(message, Opened)
        mapped = [MappedRing(socket.socket(fileno=d), message.shape, message.link, 0) for d in rings]
        net.ip_batch(["link set w0 up"], wire.near)
        while opener.until(Link)[0] != Link("w0", True, "w0"):
            pass
    sent = polls(20)
    wire.send(*sent)
    for share, ring in enumerate(mapped):
        wanted = [raw for raw in sent if run(Partition(2).program(), raw) % 2 == share]
        assert wanted
        assert read(ring, len(wanted)) == wanted
        ring.close()
    assert opener.close() == ""


def test_an_interface_that_is_not_there_is_named(wire: Wire) -> None:
    with entered(wire.near), pytest.raises(LiveError, match=r"^w9: cannot be watched: .*; see `ip link`"):
        open_ring("w9", 4711, SMALL)


class Opener:
    """The opener as a process of its own, in the namespace of the near end."""

    def __init__(self, wire: Wire) -> None:
        self.channel, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with entered(wire.near), far:
            command = [sys.executable, "-m", "appliance.host.capture.opener", str(far.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[far.fileno()], stderr=subprocess.PIPE)

    def next(self) -> tuple[Message, list[int]]:
        assert select.select([self.channel], [], [], DEADLINE)[0], "the opener says nothing"
        got = receive(self.channel)
        assert got is not None
        return got

    def until(self, kind: type[Message]) -> tuple[Message, list[int]]:
        while True:
            message, descriptor = self.next()
            if isinstance(message, kind):
                return message, descriptor

    def ring(self) -> MappedRing:
        return self.rings()[0]

    def rings(self) -> list[MappedRing]:
        """One a share."""
        message, descriptors = self.until(Opened)
        assert isinstance(message, Opened)
        assert len(descriptors) == message.shares
        return [MappedRing(socket.socket(fileno=d), message.shape, message.link, 0) for d in descriptors]

    def close(self) -> str:
        self.channel.close()
        _, said = self.process.communicate(timeout=DEADLINE)
        return said.decode()


def test_the_opener_passes_a_ring_and_survives_what_links_do(wire: Wire) -> None:
    opener = Opener(wire)
    wire.unplug()
    send(opener.channel, Open("w0", SMALL, True, True))
    assert isinstance(opener.next()[0], Refused)
    wire.plug()  # comes
    first = opener.ring()
    opener.until(Link)
    wire.send(frame(b"one"))
    assert read(first, 1) == [frame(b"one")]
    net.ip_batch(["link set w0 down", "link set w0 name lan0", "link set lan0 up"], wire.near)  # down, renamed, up
    while (link := opener.until(Link)[0]) != Link("w0", True, "lan0"):
        assert isinstance(link, Link)
    wire.send(frame(b"two"))
    assert read(first, 1) == [frame(b"two")]
    net.ip_batch(["link del lan0"], wire.near)  # gone, and back with another index
    assert isinstance(opener.until(Gone)[0], Gone)
    wire.plug()
    second = opener.ring()
    wire.send(frame(b"three"))
    assert read(second, 1) == [frame(b"three")]
    send(opener.channel, Close("w0"))
    assert opener.close() == ""
    assert opener.process.returncode == 0
    first.close()
    second.close()


def test_the_opener_switches_offloads_off_and_holds_two_capabilities_only(wire: Wire) -> None:
    with entered(wire.near):
        from pyroute2.ethtool.ioctl import IoctlEthtool

        tool = IoctlEthtool("w0")
        features = tool.get_features()
        features["rx-gro"] = True
        tool.set_features(features)
        assert tool.get_features().is_active("rx-gro")
    opener = Opener(wire)
    send(opener.channel, Open("w0", SMALL, True, False))
    message, [descriptor] = opener.until(Opened)
    assert isinstance(message, Opened)
    assert message.offloads == ("rx-gro",)
    os.close(descriptor)
    send(opener.channel, Open("w0", SMALL, True, True))
    message, [descriptor] = opener.until(Opened)
    assert isinstance(message, Opened)
    assert message.offloads == ()
    os.close(descriptor)
    assert not tool.get_features().is_active("rx-gro")
    tool.close()
    status = Path(f"/proc/{opener.process.pid}/status").read_text(encoding="ascii")
    held = {line.split()[0]: line.split()[1] for line in status.splitlines() if line.startswith(("Cap", "NoNewPrivs"))}
    assert (held["CapPrm:"], held["CapEff:"], held["NoNewPrivs:"]) == ("0000000000003000", "0000000000003000", "1")
    opener.close()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b'{"type":"open"}', b'{"type":"run","interface":"w0"}', b'{"type":"close","interface":"../x"}',
     b'{"type":"close","interface":"w0","more":1}', encode(Gone("w0", "x")), b"[" * 5000],
)  # fmt: skip
def test_a_malformed_request_ends_the_opener_with_one_line(wire: Wire, raw: bytes) -> None:
    opener = Opener(wire)
    opener.channel.send(raw)
    _, said = opener.process.communicate(timeout=DEADLINE)
    assert (raw == b"") or said.decode().startswith("sekisho: opener: ")
    assert len(said.decode().splitlines()) == (0 if raw == b"" else 1)
    opener.channel.close()


def test_messages_come_back_as_they_were_sent() -> None:
    program = tuple(assemble(["not port 22"]))
    for message in (
        Open("eth0.12", SMALL, False, True, program), Close("eth0"), Opened("eth0", 3, 1, SMALL, ("rx-gro",)),
        Open("eth0", SMALL, True, True, (), 4, Partition(4, {77: 3}).program()), Opened("eth0", 3, 1, SMALL, (), 4),
        Gone("eth0", "gone"), Refused("eth0", "no"), Link("eth0", True, "lan0"),
    ):  # fmt: skip
        assert decode(encode(message)) == message
