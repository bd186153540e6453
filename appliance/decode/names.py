"""Addresses and services as text."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from appliance.decode.columns import L2_TAG

_TRANSPORTS = {6: "tcp", 17: "udp"}
_REMEMBERED = 4096  # texts: in a flood of findings the same few names are asked for again and again


def mac_text(mac: int) -> str:
    """Return a hardware address as 00:11:22:aa:bb:cc."""
    return int(mac).to_bytes(6, "big").hex(":")


@lru_cache(_REMEMBERED)
def address_text(hi: int, lo: int) -> str:
    """Return an address of the columns `*_hi`, `*_lo` as text: dotted IPv4, compressed IPv6 or a hardware address."""
    hi, lo = int(hi), int(lo)
    if hi == L2_TAG:
        return mac_text(lo)
    if hi == 0 and lo >> 32 == 0xFFFF:
        return str(IPv4Address(lo & 0xFFFF_FFFF))
    return str(IPv6Address(hi << 64 | lo))


def address_halves(text: str) -> tuple[int, int]:
    """The halves (hi, lo) of what `address_text` wrote. Raises ValueError."""
    if text.count(":") == 5 and len(text) == 17:
        return L2_TAG, int(text.replace(":", ""), 16)
    try:
        return 0, 0xFFFF << 32 | int(IPv4Address(text))
    except AddressValueError:
        whole = int(IPv6Address(text))
        return whole >> 64, whole & 0xFFFF_FFFF_FFFF_FFFF


@lru_cache(_REMEMBERED)
def service_text(proto: int, port: int, ethertype: int) -> str:
    """Return "tcp/502", "udp/47808", "ip/1" (other IP protocols), "eth/0x8892" or "llc/0x82".

    `ethertype` decides whether the frame is IP; `proto` and `port` (the server's) then name the service.
    """
    if ethertype in (0x0800, 0x86DD):
        name = _TRANSPORTS.get(int(proto))
        return f"{name}/{int(port)}" if name else f"ip/{int(proto)}"
    return f"eth/0x{int(ethertype):04x}" if ethertype >= 0x0600 else f"llc/0x{int(ethertype):02x}"
