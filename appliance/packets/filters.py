"""Which frames never reach the ring: a few words, assembled into classic BPF (McCanne and Jacobson 1993; Linux `filter.rst`).

    not host 10.0.0.9            not net 10.1.0.0/16        not host 10.0.0.9 port 443
    not port 22                  not ethertype 0x88cc       not mac 00:11:22:33:44:55

What any line names is left out; all the rest is watched. Words of one line must all hold. Offsets are those of Ethernet
after the kernel took the outermost VLAN tag out, so tagged frames are filtered as well; a second tag hides what follows, and
such frames are watched. Of IPv4 fragments only the first has ports.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from appliance.errors import UsageError

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
MAX_LINES = 64
KEEP = 0x40000  # bytes of a frame that is kept: all
_LDW, _LDH, _LDB, _LDX_MSH, _LDH_X = 0x20, 0x28, 0x30, 0xB1, 0x48
_AND, _JEQ, _JSET, _RET = 0x54, 0x15, 0x45, 0x06
_IPV4, _IPV6 = 0x0800, 0x86DD


class Instruction(NamedTuple):
    """One sock_filter: code, jumps if true and false (instructions to skip), operand."""

    code: int
    jt: int
    jf: int
    k: int


class _Check(NamedTuple):
    """Instructions that leave a value in the accumulator, and the value wanted."""

    load: tuple[tuple[int, int], ...]
    wanted: int
    bits: bool = False  # wanted are bits of which none may be set


def assemble(lines: list[str]) -> list[Instruction]:
    """A program that refuses what any of the lines names. Raises UsageError that names the line; no lines, no program."""
    if not lines:
        return []
    if len(lines) > MAX_LINES:
        raise UsageError(f"[capture] ignore: {len(lines)} lines, more than {MAX_LINES}; leave out the rest, or give a program")
    conjunctions = [checks for line in lines for checks in _conjunctions(line)]
    code: list[Instruction] = []
    for checks in conjunctions:
        code += _refuse(checks)
    code.append(Instruction(_RET, 0, 0, KEEP))
    if len(code) > MAX_INSTRUCTIONS:
        raise UsageError(f"[capture] ignore: {len(code)} instructions, more than the kernel takes; leave out some lines")
    return code


def _refuse(checks: list[_Check]) -> list[Instruction]:
    """If all hold, refuse; at the first that does not, go on behind this block."""
    sizes = [len(check.load) + 1 for check in checks]
    total = sum(sizes) + 1
    code: list[Instruction] = []
    for check in checks:
        code += [Instruction(what, 0, 0, k) for what, k in check.load]
        behind = total - len(code) - 1
        if check.bits:
            code.append(Instruction(_JSET, behind, 0, check.wanted))
        else:
            code.append(Instruction(_JEQ, 0, behind, check.wanted))
    code.append(Instruction(_RET, 0, 0, 0))
    return code


def _conjunctions(line: str) -> list[list[_Check]]:
    """A line as alternatives, each a list of checks that must all hold."""
    words = line.split()
    if len(words) < 3 or words[0] != "not" or len(words) % 2 == 0:
        raise _wrong(line, "it is not 'not' and pairs of a word and a value")
    ways: list[list[_Check]] = [[]]
    pairs = list(zip(words[1::2], words[2::2], strict=True))
    if len({name for name, _ in pairs}) != len(pairs):
        raise _wrong(line, "a word comes twice")
    family = None
    for name, value in sorted(pairs, key=lambda pair: pair[0] == "port"):
        more, own = _ways(line, name, value, family)
        family = own or family
        ways = [one + other for one in ways for other in more]
    return ways


def _ways(line: str, name: str, value: str, family: int | None) -> tuple[list[list[_Check]], int | None]:
    if name in ("host", "net"):
        try:
            network = ip_network(value)
        except ValueError as error:
            raise _wrong(line, str(error)) from error
        if name == "host" and network.num_addresses != 1:
            raise _wrong(line, "a host has no mask")
        return _address(network), _IPV4 if network.version == 4 else _IPV6
    if name == "port":
        return _port(_number(line, value, 0xFFFF), family), family
    if name == "ethertype":
        return [[_Check(((_LDH, 12),), _number(line, value, 0xFFFF))]], None
    if name == "mac":
        if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", value):
            raise _wrong(line, "not a hardware address")
        number = int(value.replace(":", ""), 16)
        return [[_Check(((_LDH, at),), number >> 32), _Check(((_LDW, at + 2),), number & 0xFFFFFFFF)] for at in (0, 6)], None
    raise _wrong(line, f"{name!r} is no word of it")


def _address(network: IPv4Network | IPv6Network) -> list[list[_Check]]:
    kind = _Check(((_LDH, 12),), _IPV4 if network.version == 4 else _IPV6)
    places = (26, 30) if network.version == 4 else (22, 38)
    number, mask, words = int(network.network_address), int(network.netmask), network.max_prefixlen // 32
    ways = []
    for place in places:
        checks = [kind]
        for word in range(words):
            shift = 32 * (words - 1 - word)
            part = mask >> shift & 0xFFFFFFFF
            if part:
                checks.append(_Check(((_LDW, place + 4 * word), (_AND, part)), number >> shift & part))
        ways.append(checks)
    return ways


def _port(number: int, family: int | None) -> list[list[_Check]]:
    """TCP or UDP, either end."""
    ways = []
    for proto in (6, 17):
        for side in (0, 2):
            if family in (None, _IPV4):
                head = [_Check(((_LDH, 12),), _IPV4), _Check(((_LDB, 23),), proto), _Check(((_LDH, 20),), 0x1FFF, bits=True)]
                ways.append([*head, _Check(((_LDX_MSH, 14), (_LDH_X, 14 + side)), number)])
            if family in (None, _IPV6):
                head = [_Check(((_LDH, 12),), _IPV6), _Check(((_LDB, 20),), proto)]
                ways.append([*head, _Check(((_LDH, 54 + side),), number)])
    return ways


def _number(line: str, value: str, most: int) -> int:
    try:
        number = int(value, 0)
    except ValueError as error:
        raise _wrong(line, f"{value!r} is no number") from error
    if not 0 <= number <= most:
        raise _wrong(line, f"{value} is not within 0 and {most}")
    return number


def _wrong(line: str, why: str) -> UsageError:
    return UsageError(f"[capture] ignore {line!r}: {why}; write it like 'not host 10.0.0.9 port 443' or 'not ethertype 0x88cc'")


def parse_program(text: str, name: str) -> list[Instruction]:
    """A program as `tcpdump -ddd FILTER` prints it: a count, then a line `code jt jf k` each. Raises UsageError."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    try:
        table = [[int(word) for word in row] for row in rows]
    except ValueError as error:
        raise UsageError(f"{name}: {error}; write it with: tcpdump -ddd FILTER > FILE") from error
    if not table or table[0] != [len(table) - 1] or not 1 <= len(table) - 1 <= MAX_INSTRUCTIONS:
        raise UsageError(
            f"{name}: its first line is not the number of its instructions; write it with: tcpdump -ddd FILTER > FILE"
        )
    code = []
    for at, row in enumerate(table[1:]):
        if len(row) != 4 or not (0 <= row[0] <= 0xFFFF and 0 <= row[3] <= 0xFFFFFFFF and all(0 <= n <= 255 for n in row[1:3])):
            raise UsageError(f"{name}: instruction {at} is none; write it with: tcpdump -ddd FILTER > FILE")
        code.append(Instruction(*row))
    return code
