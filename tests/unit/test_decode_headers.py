import struct

import pytest

from appliance.decode.columns import Damage, DecodedBatch
from appliance.decode.names import address_text, service_text
from appliance.packets.batch import PacketBatch, batch_of
from tests.unit.frames import decoded, ethernet, ipv4, ipv6, segment, tcp, udp


def ends(batch: DecodedBatch, row: int = 0) -> tuple[str, int, str, int]:
    source = address_text(int(batch.src_hi[row]), int(batch.src_lo[row]))
    target = address_text(int(batch.dst_hi[row]), int(batch.dst_lo[row]))
    return source, int(batch.sport[row]), target, int(batch.dport[row])


@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        ([], 0),
        ([(0x8100, 0x2005)], 5),
        ([(0x88A8, 7), (0x8100, 9)], 7),
        ([(0x9100, 1), (0x9200, 2), (0x88A8, 3), (0x8100, 4)], 1),
    ],
)
def test_tags_are_stepped_over_and_the_outermost_names_the_vlan(tags: list[tuple[int, int]], vlan: int) -> None:
    batch = decoded([ethernet(0x0800, ipv4(17, udp(b"pay")), tags)])
    assert (batch.vlan[0], batch.ethertype[0], batch.payload_of(0)) == (vlan, 0x0800, b"pay")
    assert ends(batch) == ("10.0.0.1", 47808, "10.0.0.2", 47808)


def test_padding_of_short_ethernet_frames_is_not_payload() -> None:
    batch = decoded([segment(1, b"ab") + bytes(20), ethernet(0x0800, ipv4(17, udp(b"cde") + bytes(9)))])
    assert [batch.payload_of(0), batch.payload_of(1)] == [b"ab", b"cde"]
    assert batch.damage.tolist() == [0, 0]


def test_llc_snap_and_labels() -> None:
    inner = ipv4(17, udp(b"pay"))
    frames = [
        ethernet(0, b"")[:12] + struct.pack(">H", 6) + b"\x82\x82\x03abc" + bytes(40),
        ethernet(0, b"")[:12] + struct.pack(">H", 8 + len(inner)) + b"\xaa\xaa\x03\0\0\0\x08\0" + inner,
        ethernet(0x8847, struct.pack(">II", 0x00010040, 0x00020140) + inner),
        ethernet(0x8864, b"\x11\0\0\1" + struct.pack(">HH", len(inner) + 2, 0x21) + inner),
        ethernet(0x8892, b"\x80\0cyclic"),
    ]
    batch = decoded(frames)
    assert batch.ethertype.tolist() == [0x82, 0x0800, 0x0800, 0x0800, 0x8892]
    assert [batch.payload_of(row) for row in range(5)] == [b"abc", b"pay", b"pay", b"pay", b"\x80\0cyclic"]
    assert not batch.damage.any()
    assert ends(batch, 4) == ("00:11:22:33:44:55", 0, "66:77:88:99:aa:bb", 0)


@pytest.mark.parametrize(
    ("link", "head", "inner"),
    [
        (101, b"", 4), (12, b"", 6), (228, b"", 4), (229, b"", 6),
        (0, b"\2\0\0\0", 4), (0, b"\0\0\0\2", 4), (108, b"\0\0\0\x1e", 6),
        (113, b"\0\0\0\1\0\6" + bytes.fromhex("0011223344550000") + b"\x08\0", 4),
        (276, b"\x86\xdd\0\0\0\0\0\1\0\1\0\6" + bytes.fromhex("0011223344550000"), 6),
    ],
)  # fmt: skip
def test_link_types_other_than_ethernet(link: int, head: bytes, inner: int) -> None:
    body = ipv4(17, udp(b"pay")) if inner == 4 else ipv6(17, udp(b"pay"))
    batch = decoded([head + body], link=link)
    assert (batch.payload_of(0), batch.damage[0], batch.dport[0]) == (b"pay", 0, 47808)
    assert batch.src_mac[0] == (0x001122334455 if link in (113, 276) else 0)


def test_ipv6_extension_headers_are_stepped_over() -> None:
    hops, routing, auth = b"\x2b\0" + bytes(6), b"\x33\1" + bytes(14), b"\x3c\4" + bytes(22)
    options = b"\x06\0" + bytes(6)
    batch = decoded([ethernet(0x86DD, ipv6(0, hops + routing + auth + options + tcp(5, b"pay")))])
    assert (batch.proto[0], batch.payload_of(0), batch.tcp_seq[0]) == (6, b"pay", 5)
    assert ends(batch) == ("fe80::1", 40000, "fe80::2", 502)


def test_arp_is_exposed() -> None:
    body = bytes.fromhex("0001080006040002001122334455") + bytes([10, 0, 0, 9]) + bytes(6) + bytes([10, 0, 0, 1])
    batch = decoded([ethernet(0x0806, body)])
    assert (batch.arp_op[0], batch.arp_sender_ip[0], batch.arp_target_ip[0]) == (2, 0x0A000009, 0x0A000001)
    assert batch.arp_sender_mac[0] == 0x001122334455
    assert not batch.ip[0]


DAMAGED = {
    "link": (b"short", Damage.TRUNCATED_LINK),
    "tag": (ethernet(0x8100, b"\0"), Damage.TRUNCATED_LINK),
    "network": (ethernet(0x0800, ipv4(6, b"")[:19]), Damage.TRUNCATED_NETWORK),
    "options": (ethernet(0x0800, b"\x4f" + ipv4(6, bytes(4), total=60)[1:]), Damage.TRUNCATED_NETWORK),
    "extension": (ethernet(0x86DD, ipv6(0, b"\x06\xff" + bytes(6))), Damage.TRUNCATED_NETWORK),
    "transport": (ethernet(0x0800, ipv4(6, tcp(1)[:12])), Damage.TRUNCATED_TRANSPORT),
    "version": (ethernet(0x0800, b"\x55" + ipv4(6, tcp(1))[1:]), Damage.BAD_IP_HEADER),
    "ihl": (ethernet(0x0800, b"\x44" + ipv4(6, tcp(1))[1:]), Damage.BAD_IP_HEADER),
    "total": (ethernet(0x0800, ipv4(6, tcp(1), total=900)), Damage.BAD_LENGTH),
    "udp": (ethernet(0x0800, ipv4(17, b"\0\1\0\2\0\x40\0\0abc")), Damage.BAD_LENGTH),
    "doff": (ethernet(0x0800, ipv4(6, tcp(1)[:12] + b"\x40" + tcp(1)[13:])), Damage.BAD_TRANSPORT_HEADER),
    "doff-long": (ethernet(0x0800, ipv4(6, tcp(1)[:12] + b"\xf0" + tcp(1)[13:])), Damage.BAD_TRANSPORT_HEADER),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named_and_harms_no_other_frame(case: str) -> None:
    raw, code = DAMAGED[case]
    batch = decoded([segment(1, b"good"), raw, segment(5, b"good")])
    assert batch.damage.tolist() == [0, code, 0]
    assert [batch.payload_of(0), batch.payload_of(2)] == [b"good", b"good"]
    assert 0 <= batch.payload_len[1] <= len(raw)


def test_what_the_capture_cut_is_not_called_hostile_nor_a_gap() -> None:
    whole = batch_of([(0, segment(1, b"abcdefgh")), (1, segment(9, b"ij"))])
    captured = whole.captured.copy()
    captured[0] -= 5
    cut = PacketBatch(
        whole.time,
        whole.frame,
        whole.offset,
        captured,
        whole.wire,
        whole.link,
        whole.interface,
        whole.data,
        whole.used,
        whole.arena,
    )
    from appliance.decode.headers import DecodeState, decode

    batch = decode(cut, DecodeState())
    assert batch.damage.tolist() == [Damage.SNAPLEN_CUT, 0]
    assert (batch.payload_of(0), batch.payload_of(1)) == (b"abc", b"ij")
    assert not batch.gap.any()


def test_an_unknown_link_type_is_damage() -> None:
    batch = decoded([b"anything at all"], link=147)
    assert (batch.damage[0], batch.payload_len[0]) == (Damage.UNKNOWN_LINK, 0)


def test_flow_names_a_conversation_and_up_its_direction() -> None:
    there, back = ipv4(6, tcp(1, b"a")), ipv4(6, tcp(1, b"b", 502, 40000), "10.0.0.2", "10.0.0.1")
    other = ipv4(17, udp(b"c", 40000, 502))
    alone = decoded([ethernet(0x0800, there), ethernet(0x0800, back), ethernet(0x0800, other)])
    assert alone.flow[0] == alone.flow[1] != alone.flow[2]
    assert alone.up.tolist() == [True, False, True]
    # The same hash whether or not something other than IPv4 shares the batch.
    mixed = decoded([ethernet(0x0800, there), ethernet(0x88B8, b"goose"), ethernet(0x86DD, ipv6(17, udp(b"")))])
    assert (mixed.flow[0], mixed.up[0]) == (alone.flow[0], alone.up[0])
    assert len(set(mixed.flow.tolist())) == 3


def test_every_bit_of_an_ipv6_address_counts_for_the_flow() -> None:
    base = bytes.fromhex("20010db8000000010000000000000001")
    frames = [ethernet(0x86DD, ipv6(17, udp(b"x"), src=base))]
    for bit in range(128):
        changed = (int.from_bytes(base, "big") ^ 1 << bit).to_bytes(16, "big")
        frames.append(ethernet(0x86DD, ipv6(17, udp(b"x"), src=changed)))
    assert len(set(decoded(frames).flow.tolist())) == 129


def test_names() -> None:
    assert service_text(6, 502, 0x0800) == "tcp/502"
    assert service_text(17, 47808, 0x86DD) == "udp/47808"
    assert service_text(1, 0, 0x0800) == "ip/1"
    assert service_text(0, 0, 0x8892) == "eth/0x8892"
    assert service_text(0, 0, 0x82) == "llc/0x82"
