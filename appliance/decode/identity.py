"""Who talks to whom: the symmetric flow hash and the direction bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from appliance.decode.work import Work
    from appliance.packets.batch import U64, Flags

_K1, _K2, _K3 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT = np.uint64(31)


def mix(values: U64) -> U64:
    """Scatter 64-bit values (splitmix64's finalizer: a bijection, every bit reaches every other)."""
    values = (values ^ (values >> _SHIFT)) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    scattered: U64 = values ^ (values >> _SHIFT)
    return scattered


def directed(flow: U64, up: Flags) -> U64:
    """Return one number per direction of a flow."""
    return flow + up * _K3


def pair(src_hi: U64, src_lo: U64, dst_hi: U64, dst_lo: U64) -> U64:
    """Return one number for each two addresses, whichever of them is the source."""
    source, target = mix(src_lo + mix(src_hi)), mix(dst_lo + mix(dst_hi))
    return mix((source + target) ^ (source ^ target) * _K2)


def identify(work: Work, key: int) -> None:
    """Fill `flow` and `up`. `key` is mixed in, so that a sensor with a secret key cannot be given collisions."""
    sport, dport = work.sport.astype(np.uint64), work.dport.astype(np.uint64)
    secret = mix(np.array([key & 0xFFFF_FFFF_FFFF_FFFF], np.uint64))
    flat = not (work.src_hi.any() or work.dst_hi.any())
    if flat:  # IPv4 only: 48 bits of address and 16 of port make one number
        source, target = work.src_lo << np.uint64(16) | sport, work.dst_lo << np.uint64(16) | dport
        work.up[:] = source < target
        source, target = mix(source + secret), mix(target + secret)
    else:
        work.up[:] = _smaller(work)
        # IPv4 rows must hash as in the branch above: lower half and port first, upper half 0 changes nothing.
        source = mix((work.src_lo << np.uint64(16) | sport) + secret)
        target = mix((work.dst_lo << np.uint64(16) | dport) + secret)
        high = np.flatnonzero(work.src_hi | work.dst_hi)
        source[high] = mix(mix(source[high] + work.src_hi[high] * _K1) + (work.src_lo[high] >> np.uint64(48)))
        target[high] = mix(mix(target[high] + work.dst_hi[high] * _K1) + (work.dst_lo[high] >> np.uint64(48)))
    kind = np.where(work.ip, work.proto, work.ethertype.astype(np.uint64) + np.uint64(256)).astype(np.uint64)
    work.flow[:] = mix((source + target) ^ (source ^ target) * _K2 ^ kind * _K1)


def _smaller(work: Work) -> Flags:
    """Compare (address, port) of source and destination."""
    same_high, same_low = work.src_hi == work.dst_hi, work.src_lo == work.dst_lo
    smaller: Flags = (work.src_hi < work.dst_hi) | (
        same_high & ((work.src_lo < work.dst_lo) | (same_low & (work.sport < work.dport)))
    )
    return smaller
