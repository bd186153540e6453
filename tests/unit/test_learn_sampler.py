"""What structures are learned from: all of a session has its share in a bounded sample, however busy it is."""

from struct import pack

import numpy as np

from appliance.decode.conversation import ConversationTable
from appliance.learn.session import DENSE_SAMPLE, MAX_SAMPLE, MAX_SAMPLE_BYTES, Sampler
from appliance.learn.site.roles import RoleStats
from tests.sim.wire import MONDAY, SECOND, Frames, Host, Wire, passes

PORT = (17, 7005)
A_SECOND = 50
CENTRE, DEVICE = Host.at("10.0.0.1"), Host.at("10.0.0.11")


def busy(seconds: int, size: int = 0) -> Frames:
    """A register that is asked for all the time."""
    wire = Wire()
    for n in range(seconds * A_SECOND):
        at = MONDAY + n * SECOND // A_SECOND
        ask = pack(">HBBH", n & 0xFFFF, 1, 3, 40) + bytes(size)
        wire.udp(at, CENTRE, 40_000, DEVICE, PORT[1], ask)
        wire.udp(at + 4_000_000, DEVICE, PORT[1], CENTRE, 40_000, ask[:6] + pack(">H", n % 900) + bytes(size))
    return wire.sorted()


def sampled(frames: Frames) -> tuple[list[int], int]:
    """Seconds of the session at which payloads were sampled, and their bytes."""
    roles = RoleStats()
    for batch in passes(frames)():
        roles.add(batch)
    table = ConversationTable()
    table.know(roles.servers())
    sampler = Sampler(table)
    for batch in passes(frames)():
        sampler.add(batch)
    sample = sampler.services[PORT]
    assert sampler.total == sample.size == sum(map(len, sample.payloads))
    return [(ns - MONDAY) // SECOND for *_, ns in sample.values], sample.size


def test_what_comes_first_is_sampled_whole_and_the_rest_evenly() -> None:
    seconds, _ = sampled(busy(600))
    assert DENSE_SAMPLE < len(seconds) <= MAX_SAMPLE
    dense = DENSE_SAMPLE // (2 * A_SECOND)
    assert np.bincount(seconds, minlength=600)[:dense].min() == 2 * A_SECOND
    later = np.histogram(seconds, bins=np.arange(dense + 1, 601, (600 - dense - 1) // 4))[0]
    assert later.min() > 0.5 * later.mean()
    assert later.max() < 1.5 * later.mean()


def test_long_payloads_leave_room_for_what_comes_later() -> None:
    seconds, size = sampled(busy(120, size=1300))
    assert size <= MAX_SAMPLE_BYTES
    assert len([s for s in seconds if s > 60]) > 500
