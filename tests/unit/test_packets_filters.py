"""Programs do what their lines say: run here by an interpreter, and (tests/lab) by the kernel."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.packets.filters import KEEP, Instruction, assemble, parse_program


def kept(program: list[Instruction], frame: bytes) -> bool:
    """Classic BPF as the kernel runs it: a load beyond the frame refuses it."""
    a = x = pc = 0
    while True:
        code, jt, jf, k = program[pc]
        pc += 1
        loads = {0x20: (k, 4), 0x28: (k, 2), 0x30: (k, 1), 0x48: (x + k, 2)}
        if code in loads:
            at, width = loads[code]
            if at + width > len(frame):
                return False
            a = int.from_bytes(frame[at : at + width], "big")
        elif code == 0xB1:
            if k >= len(frame):
                return False
            x = 4 * (frame[k] & 0xF)
        elif code == 0x54:
            a &= k
        elif code == 0x15:
            pc += jt if a == k else jf
        elif code == 0x45:
            pc += jt if a & k else jf
        elif code == 0x06:
            return k > 0
        else:
            raise AssertionError(hex(code))


def ip(src: str, dst: str, sport: int, dport: int, proto: int = 6, fragment: int = 0, options: int = 0) -> bytes:
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + bytes(16)
    if a.version == 4:
        head = bytes([0x45 + options, 0, 0, 60, 0, 0]) + fragment.to_bytes(2, "big") + bytes([64, proto, 0, 0])
        return bytes(12) + b"\x08\x00" + head + a.packed + b.packed + bytes(4 * options) + ports
    return bytes(12) + b"\x86\xdd" + bytes([0x60, 0, 0, 0, 0, 20, proto, 64]) + a.packed + b.packed + ports


def v4(src: str, dst: str, sport: int = 1, dport: int = 2, proto: int = 6, fragment: int = 0, options: int = 0) -> bytes:
    return ip(f"10.0.0.{src}", f"10.0.0.{dst}", sport, dport, proto, fragment, options)


ARP = b"\xff" * 6 + bytes.fromhex("001122334455") + b"\x08\x06" + bytes(28)


@pytest.mark.parametrize(
    ("line", "refused", "watched"),
    [
        ("not host 10.0.0.9", [v4("9", "1"), v4("1", "9")], [v4("1", "8"), ARP]),
        ("not net 10.1.0.0/16", [ip("10.1.200.9", "10.0.0.1", 1, 2)], [v4("1", "2")]),
        ("not host fd00::9", [ip("fd00::9", "fd00::1", 1, 2), ip("fd00::1", "fd00::9", 1, 2)], [ip("fd00::1", "fd00::19", 1, 2)]),
        ("not net fd00:1::/32", [ip("fd00:1::9", "fd00::1", 1, 2)], [ip("fd00::9", "fd00::1", 1, 2)]),
        ("not port 22",
         [v4("1", "2", 22, 9), v4("1", "2", 9, 22, 17), v4("1", "2", 9, 22, options=3),
          ip("fd00::1", "fd00::2", 9, 22), ip("fd00::1", "fd00::2", 22, 9, 17)],
         [v4("1", "2", 23, 9), v4("1", "2", 22, 9, proto=1), v4("1", "2", 22, 9, fragment=7), ARP]),
        ("not host 10.0.0.9 port 443", [v4("9", "1", 443)], [v4("9", "1", 444), v4("8", "1", 443)]),
        ("not ethertype 0x0806", [ARP], [v4("1", "2")]),
        ("not mac 00:11:22:33:44:55", [ARP, ARP[6:12] + ARP[:6] + ARP[12:]], [v4("1", "2")]),
    ],
)  # fmt: skip
def test_what_a_line_names_is_refused_and_the_rest_is_kept(line: str, refused: list[bytes], watched: list[bytes]) -> None:
    program = assemble([line])
    assert [kept(program, raw) for raw in refused] == [False] * len(refused)
    assert [kept(program, raw) for raw in watched] == [True] * len(watched)
    assert program[-1].k == KEEP


hosts = st.integers(1, 5).map(lambda n: f"10.0.0.{n}")
ports = st.integers(1, 5)


@given(st.lists(st.tuples(hosts, st.none() | ports), max_size=6), hosts, hosts, ports, ports, st.sampled_from([6, 17, 1]))
def test_many_lines_refuse_what_any_of_them_names(
    wishes: list[tuple[str, int | None]], src: str, dst: str, sport: int, dport: int, proto: int
) -> None:
    program = assemble([f"not host {host}" + (f" port {port}" if port else "") for host, port in wishes])
    named = any(h in (src, dst) and (p is None or (p in (sport, dport) and proto in (6, 17))) for h, p in wishes)
    assert (not program or kept(program, ip(src, dst, sport, dport, proto))) == (not named)


@pytest.mark.parametrize(
    "line",
    ["host 10.0.0.1", "not host", "not host 10.0.0.256", "not host 10.0.0.0/8", "not port 70000", "not port http", "not udp 5",
     "not ethertype 0x12345", "not mac 00:11:22", "not port 1 port 2", "", "not"],
)  # fmt: skip
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"\[capture\] ignore .*; write it like"):
        assemble([line])


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 64"):
        assemble(["not port 1"] * 65)


def test_a_program_of_tcpdump_is_read() -> None:
    text = "4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n"
    program = parse_program(text, "arp.bpf")
    assert kept(program, ARP)
    assert not kept(program, ip("1.1.1.1", "2.2.2.2", 1, 2))


@pytest.mark.parametrize(
    "text",
    ["", "0\n", "2\n6 0 0 0\n", "1\n6 0 0\n", "1\n6 0 300 0\n", "1\nx 0 0 0\n", "1\n6 0 0 -1\n", "5000\n" + "6 0 0 0\n" * 5000],
)
def test_a_damaged_program_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^f\.bpf: .*tcpdump -ddd"):
        parse_program(text, "f.bpf")
