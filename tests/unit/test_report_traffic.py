"""What a page is filled with: bounded intervals of time, devices and not their faces, frames by capture, ports tried as one."""

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.decode.columns import L2_TAG
from appliance.decode.conversation import Conversation, ConversationTable
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.site.topology import Asset
from appliance.report.assets import AssetRow
from appliance.report.inventory import baseline_inventory, device_count
from appliance.report.numbering import Numbering
from appliance.report.plant import Conversation as Link
from appliance.report.plant import plant
from appliance.report.traffic import FINEST, MOST_BUCKETS, Histogram, Traffic
from tests.unit.frames import decoded, segment

times = st.lists(st.lists(st.integers(0, 2**61), min_size=1, max_size=20), min_size=1, max_size=6)


def filled(batches: list[list[int]]) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(np.array(batch, np.int64))
    return histogram


@given(times)
def test_any_times_fit_in_a_bounded_number_of_intervals_and_none_is_lost(batches: list[list[int]]) -> None:
    buckets = filled(batches).buckets()
    flat = [time for batch in batches for time in batch]
    assert 1 <= len(buckets.frames) <= MOST_BUCKETS
    assert sum(buckets.frames) == len(flat)
    assert buckets.start_ns <= min(flat) < buckets.start_ns + buckets.step_ns
    last = buckets.start_ns + len(buckets.frames) * buckets.step_ns
    assert last - buckets.step_ns <= max(flat) < last
    assert buckets.step_ns % FINEST == 0


@given(times)
def test_the_order_of_frames_and_batches_does_not_matter(batches: list[list[int]]) -> None:
    turned = [batch[::-1] for batch in batches[::-1]]
    assert filled(batches).buckets() == filled(turned).buckets() == filled([list(chain(*batches))]).buckets()


def test_nothing_captured_is_no_interval() -> None:
    assert Histogram().buckets().frames == ()


def test_a_frame_is_numbered_in_its_capture() -> None:
    two = Numbering(["a.pcap", "b.pcap"], [100, 2**60])
    assert [two.place(frame) for frame in (1, 100, 101)] == [("a.pcap", 1), ("a.pcap", 100), ("b.pcap", 1)]
    assert two.text(101) == "1 (b.pcap)"
    assert Numbering(["a.pcap"], [7]).place(9) == (None, 9)


def test_an_empty_capture_between_two_takes_no_number() -> None:
    three = Numbering(["a", "empty", "b"], [10, 10, 20])
    assert three.place(11) == ("b", 1)
    assert three.place(10) == ("a", 10)


def test_the_hardware_behind_an_address_is_no_device_of_its_own_unless_it_does_more() -> None:
    ip, mac, other = (0, 0xFFFF_0A00_0001), (L2_TAG, 0x0080F4095133), (L2_TAG, 0x0080F4095134)
    arp, profinet = Conversation(mac, other, (-1, 0x0806)), Conversation(mac, other, (-1, 0x8892))
    assets = {ip: Asset({mac[1]}), mac: Asset({mac[1]}), other: Asset({other[1]})}
    numbers = np.zeros(14, np.int64)
    resolving = Baseline(assets=assets, conversations={arp: numbers})
    assert [row.address for row in baseline_inventory(resolving, lambda _: None)] == ["10.0.0.1", "00:80:f4:09:51:34"]
    assert device_count(resolving) == 2
    talking = Baseline(assets=assets, conversations={arp: numbers, profinet: numbers})
    assert len(baseline_inventory(talking, lambda _: None)) == device_count(talking) == 3


def test_a_run_counts_messages_and_knows_what_was_learned() -> None:
    table = ConversationTable()
    table.know([((0, 0xFFFF_0A00_0002), (6, 502))])
    traffic = Traffic(table)
    traffic.add(decoded([segment(1, b""), segment(1, b"abc"), segment(4, b"def")]))
    (link,) = traffic.conversations(Baseline())
    assert link == Link("10.0.0.1", "10.0.0.2", "tcp/502", 2, known=False)
    (row,) = traffic.assets(Baseline(), lambda mac: f"maker of {mac}")
    assert (row.address, row.vendor, row.frames, row.known) == ("10.0.0.1", "maker of 00:11:22:33:44:55", 3, False)
    learned = Baseline(conversations=dict.fromkeys(table.conversations, np.zeros(14, np.int64)), assets=traffic.topology.assets)
    assert traffic.conversations(learned)[0].known
    assert traffic.assets(learned, lambda _: None)[0].known


def test_many_ports_tried_between_two_are_one_line_that_says_how_many() -> None:
    rows = [AssetRow("10.0.0.1"), AssetRow("10.0.0.9", known=False)]
    tried = [Link("10.0.0.9", "10.0.0.1", f"tcp/{port}", 1, known=False) for port in range(1, 301)]
    drawn = plant(rows, [*tried, Link("10.0.0.9", "10.0.0.1", "udp/53", 5, known=False)], {})
    assert {(link.service, link.messages) for link in drawn.links} == {("tcp × 300", 300), ("udp/53", 5)}
    few = plant(rows, tried[:4], {})
    assert len(few.links) == 4
