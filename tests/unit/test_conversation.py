"""Who serves whom: decided by what was seen; the number of a port only says that it is never assigned to a service."""

import numpy as np
import pytest

from appliance.decode.conversation import Address, Conversation, ConversationTable, is_group
from appliance.learn.site.roles import RoleStats
from tests.unit.dialogue import MILLI, START, Frames, Wire, learn, mac_of, passes
from tests.unit.frames import SECOND

SEEDS = range(4)


def ip(text: str) -> Address:
    return 0, 0xFFFF_0000_0000 | int.from_bytes(bytes(map(int, text.split("."))), "big")


def conversations(frames: Frames, most: int = 32768) -> set[str]:
    """Conversations as text, roles learned from the same frames."""
    roles, table = RoleStats(), ConversationTable()
    for batch in passes(frames, most)():
        roles.add(batch)
    table.know(roles.servers())
    for batch in passes(frames, most)():
        table.assign(batch)
    return {c.text() for c in table.conversations}


def talk(wire: Wire, client: tuple[str, int], server: tuple[str, int], start: int, seed: int = 1, turns: int = 60) -> None:
    """Requests at uneven times, answered after a steady while; nobody saw the connection open."""
    random, at = np.random.default_rng(seed), start
    for n in range(turns):
        wire.tcp(at, *client, *server, bytes([n % 256, 1, 2]))
        wire.tcp(at + 3 * MILLI + int(random.integers(0, 20_000)), *server, *client, bytes([n % 256, 1, 2, 3]))
        at += 10 * MILLI + int(random.integers(0, 900 * MILLI))


@pytest.mark.parametrize("most", [1, 1000])
def test_whoever_sent_the_syn_asks_whatever_the_ports(most: int) -> None:
    wire = Wire()
    wire.open(START, "10.0.0.5", 502, "10.0.0.6", 50000)
    for n in range(9):
        wire.tcp(START + (n + 1) * SECOND, "10.0.0.6", 50000, "10.0.0.5", 502, b"first to speak")
    assert conversations(wire.sorted(), most) == {"10.0.0.5 -> 10.0.0.6 tcp/50000"}


@pytest.mark.parametrize("most", [1, 1000])
def test_the_answer_to_a_syn_tells_as_well(most: int) -> None:
    """A mirror of one side only: the SYN itself was not seen."""
    wire = Wire()
    wire.tcp(START, "10.0.0.6", 50000, "10.0.0.5", 502, flags=0x12)
    wire.tcp(START + SECOND, "10.0.0.6", 50000, "10.0.0.5", 502, b"answer")
    assert conversations(wire.sorted(), most) == {"10.0.0.5 -> 10.0.0.6 tcp/50000"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("answer_first", [True, False])
def test_the_endpoint_with_more_peers_serves(seed: int, answer_first: bool) -> None:
    wire = Wire()
    for k in range(3):
        if answer_first:
            wire.tcp(START, "10.0.0.9", 9600, f"10.0.0.{k + 1}", 800 + k, b"late answer")
        talk(wire, (f"10.0.0.{k + 1}", 800 + k), ("10.0.0.9", 9600), START + SECOND, seed)
    assert conversations(wire.sorted()) == {f"10.0.0.{k} -> 10.0.0.9 tcp/9600" for k in (1, 2, 3)}


def test_the_port_that_more_hosts_use_serves() -> None:
    """One client, four devices, one connection each: only the port tells."""
    wire = Wire()
    for k in range(4):
        wire.tcp(START + k, f"10.0.0.{k + 2}", 60000, "10.0.0.1", 1000 + k, b"late answer")
        talk(wire, ("10.0.0.1", 1000 + k), (f"10.0.0.{k + 2}", 60000), START + SECOND, k)
    assert conversations(wire.sorted()) == {f"10.0.0.1 -> 10.0.0.{k + 2} tcp/60000" for k in range(4)}


@pytest.mark.parametrize("answer_first", [True, False])
def test_with_equal_ports_on_both_sides_the_hub_asks(answer_first: bool) -> None:
    """As BACnet does: everybody uses one port; the station talks to all controllers."""
    wire = Wire()
    for k in range(5):
        first, second = ("10.0.0.1", f"10.0.0.{k + 2}")[:: -1 if answer_first else 1]
        for n in range(6):
            at = START + n * SECOND + k * MILLI
            wire.udp(at, first, 47808, second, 47808, bytes([n, k]))
            wire.udp(at + 100, second, 47808, first, 47808, bytes([n, k, 1]))
    assert conversations(wire.sorted()) == {f"10.0.0.1 -> 10.0.0.{k + 2} udp/47808" for k in range(5)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ports", [(40000, 502), (502, 40000), (3000, 3001)])
def test_in_mid_stream_the_side_with_the_steadier_answers_serves(seed: int, ports: tuple[int, int]) -> None:
    wire = Wire()
    wire.tcp(START, "10.0.0.6", ports[1], "10.0.0.5", ports[0], b"late answer")
    talk(wire, ("10.0.0.5", ports[0]), ("10.0.0.6", ports[1]), START + SECOND, seed)
    assert conversations(wire.sorted()) == {f"10.0.0.5 -> 10.0.0.6 tcp/{ports[1]}"}


@pytest.mark.parametrize("client_port", [49152, 54350, 65535])
@pytest.mark.parametrize("server_port", [502, 44818, 49151])
def test_a_port_that_no_service_is_ever_assigned_asks_where_nothing_else_tells(client_port: int, server_port: int) -> None:
    """The device takes its time, the client does not: thinking time alone would take one for the other."""
    random, wire = np.random.default_rng(1), Wire()
    for n in range(60):
        at = START + n * SECOND
        wire.tcp(at, "10.0.0.5", client_port, "10.0.0.6", server_port, bytes([n, 1, 2]))
        told = at + int(random.integers(1, 900)) * MILLI
        wire.tcp(told, "10.0.0.6", server_port, "10.0.0.5", client_port, bytes([n, 1, 2, 3]))
    assert conversations(wire.sorted()) == {f"10.0.0.5 -> 10.0.0.6 tcp/{server_port}"}


@pytest.mark.parametrize("seed", SEEDS)
def test_steadier_answers_are_seen_in_small_batches_too(seed: int) -> None:
    wire = Wire()
    talk(wire, ("10.0.0.5", 3000), ("10.0.0.6", 3001), START, seed, turns=300)
    assert conversations(wire.sorted(), 7) == {"10.0.0.5 -> 10.0.0.6 tcp/3001"}


def test_steadier_answers_are_seen_one_frame_at_a_time() -> None:
    wire = Wire()
    talk(wire, ("10.0.0.5", 3000), ("10.0.0.6", 3001), START)
    assert conversations(wire.sorted(), 1) == {"10.0.0.5 -> 10.0.0.6 tcp/3001"}


def test_an_endpoint_known_to_serve_orients_later_connections() -> None:
    wire = Wire()
    wire.open(START, "10.0.0.5", 41000, "10.0.0.6", 9000)
    wire.tcp(START + SECOND, "10.0.0.6", 9000, "10.0.0.7", 42000, b"answer of a connection that was open before")
    assert conversations(wire.sorted()) == {"10.0.0.5 -> 10.0.0.6 tcp/9000", "10.0.0.7 -> 10.0.0.6 tcp/9000"}


def test_groups_of_receivers_never_ask() -> None:
    wire = Wire()
    wire.udp(START, "10.0.0.5", 9, "239.1.2.3", 10, b"x")
    wire.udp(START, "10.0.0.5", 9, "255.255.255.255", 10, b"x")
    table = ConversationTable()
    for batch in passes(wire.sorted())():
        assert table.assign(batch).request.all()
    assert all(c.group and c.client == ip("10.0.0.5") for c in table.conversations)
    assert len(table.conversations) == 2


def test_group_addresses_are_multicast_and_broadcast_of_every_family() -> None:
    assert is_group(ip("224.0.0.1"))
    assert is_group(ip("255.255.255.255"))
    assert is_group((0xFF02 << 48, 1))
    assert not is_group(ip("10.0.0.255"))  # whose broadcast it is, nobody says on the wire
    assert not is_group((0xFE80 << 48, 1))


def test_a_conversation_reads_as_text_and_its_service_has_the_names_of_the_records() -> None:
    assert Conversation(ip("10.0.0.1"), ip("10.0.0.2"), (6, 502)).text() == "10.0.0.1 -> 10.0.0.2 tcp/502"
    assert Conversation(ip("10.0.0.1"), ip("10.0.0.2"), (-1, 0x8892)).service == "eth/0x8892"


def test_an_asset_is_an_address_that_sends_with_the_hardware_behind_it() -> None:
    wire = Wire()
    talk(wire, ("10.0.0.5", 1), ("10.0.0.6", 2), START)
    wire.udp(START, "10.0.0.5", 3, "10.0.0.200", 4, b"nobody is there")
    assets = learn(wire.sorted()).assets
    assert set(assets) == {ip("10.0.0.5"), ip("10.0.0.6")}
    assert assets[ip("10.0.0.5")].macs == {int.from_bytes(mac_of("10.0.0.5"), "big")}
    assert assets[ip("10.0.0.5")].frames == 61


def uneven(wire: Wire, asker: tuple[str, int], other: tuple[str, int], numbered: bool = True) -> None:
    """A client in a steady rhythm and a server that takes its time: by their gaps alone the client would serve."""
    random, at = np.random.default_rng(3), START
    for n in range(60):
        mark = bytes([n]) if numbered else b"\0"
        wire.tcp(at, *asker, *other, b"\x05\x01" + mark + b"ask")
        at += int(random.integers(1, 400)) * MILLI
        wire.tcp(at, *other, *asker, b"\x05\x81" + mark + bytes(random.integers(0, 256, 4, np.uint8)))
        at += 3 * MILLI


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_who_repeats_the_numbers_of_the_other_side_answers(most: int) -> None:
    wire = Wire()
    uneven(wire, ("10.0.0.5", 1093), ("10.0.0.6", 44818))
    assert conversations(wire.sorted(), most) == {"10.0.0.5 -> 10.0.0.6 tcp/44818"}
    plain = Wire()
    uneven(plain, ("10.0.0.5", 1093), ("10.0.0.6", 44818), numbered=False)
    assert conversations(plain.sorted(), most) == {"10.0.0.6 -> 10.0.0.5 tcp/1093"}  # nothing but gaps to go by


@pytest.mark.parametrize("seed", SEEDS)
def test_many_new_flows_at_once_are_those_of_one_frame_at_a_time(seed: int) -> None:
    """Floods of new connections, some of whose roles only those before them tell, answers before requests and groups."""
    random, wire = np.random.default_rng(seed), Wire()
    for n in range(400):
        client, server = f"10.0.0.{random.integers(1, 5)}", f"10.0.1.{random.integers(1, 4)}"
        at, port, own = START + n * MILLI, int(random.choice([502, 9600, 30000])), int(random.integers(20_000, 60_000))
        kind = random.integers(0, 8) if n % 100 > 50 else 0
        if kind < 5:
            wire.tcp(at, client, own, server, port, flags=0x02)
            wire.tcp(at + 1, server, port, client, own, flags=0x12)
        elif kind == 5:
            wire.tcp(at, server, port, client, own, b"answer first")
        elif kind == 6:
            wire.udp(at, client, own, "239.1.2.3", port, b"to a group")
        else:
            wire.udp(at, server, port, client, own, b"datagram")
    results = []
    for most in (1, 32768):
        table = ConversationTable()
        parts = [table.assign(batch) for batch in passes(wire.sorted(), most)()]
        columns = [np.concatenate([getattr(p, name) for p in parts]).tolist() for name in ("flow", "conversation", "request")]
        results.append((columns, table.conversations, table.servers, table.ports, table.fresh, table.flows))
    assert len(results[0][1]) > 20
    assert results[0] == results[1]
