"""Segments that hold several whole requests: what TCP makes of requests that were lost and asked again (RFC 9293 3.7, RFC 5681).

A master that asks again before TCP does has two requests on their way; when both were lost, Linux sends them again as one
segment (`tcp_retrans_collapse`). To refuse that would break a legitimate connection. So a segment of k requests of one size
passes where each of them, at its own place, states its own length and is allowed by itself; nothing in it goes unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.decide.judge import joinable, times

if TYPE_CHECKING:
    from appliance.decide.rules import Service
    from appliance.decode.framing import Framing

DOFFS = range(5, 16)  # TCP header lengths in words: with any options
IPV4_HEADER = 20


def field_of(framing: Framing, size: int) -> int | None:
    """The number in the length field of a message of this size as it is compared: big-endian; None where it cannot be."""
    number = size - framing.constant
    if not 0 <= number < 256**framing.width:
        return None
    return int.from_bytes(number.to_bytes(framing.width, "big" if framing.big else "little"), "big")


def segment_sizes(version: int, size: int) -> list[str]:
    """Lengths of packets, with their TCP header's, that carry `size` bytes; elements of `length . tcp doff`."""
    before = IPV4_HEADER if version == 4 else 0
    return [f"{before + 4 * doff + size} . {doff}" for doff in DOFFS]


def joined_sets(name: str, version: int, sizes: tuple[int, ...]) -> list[str]:
    """One set for each number of requests of one size: the lengths of their segments."""
    length = {4: "ip length", 6: "ip6 length"}[version]
    return [
        f"set {name}_join{version}_{size}_{k} {{ typeof {length} . tcp doff; elements = {{"
        f" {', '.join(segment_sizes(version, k * size))} }} }}"
        for size in joinable(sizes)
        for k in times(size)
    ]


def joined_rules(
    name: str, version: int, service: Service, sizes: tuple[int, ...], offset: int, framing: Framing | None
) -> list[str]:
    """Rules that let such segments pass; none where messages do not state their length, or datagrams are asked."""
    if framing is None or service.transport != "tcp":
        return []
    ip = {4: "ip", 6: "ip6"}[version]
    rules = []
    for size in joinable(sizes):
        number = field_of(framing, size)
        for k in times(size) if number is not None else ():
            checks = [f"{ip} length . tcp doff @{name}_join{version}_{size}_{k}"]
            for start in range(0, k * size, size):
                checks.append(f"@ih,{(start + framing.offset) * 8},{framing.width * 8} {number:#x}")
                checks.append(f"{ip} saddr . {ip} daddr . @ih,{(start + offset) * 8},32 @{name}_said{version}")
            rules.append(" ".join([*checks, "accept"]))
    return rules
