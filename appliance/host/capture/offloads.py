"""Receive offloads: they join what came in several frames into one that no wire carried, so they are off on watched ports.

Asked of the driver by ioctl (Linux uapi `ethtool.h`): names of its features, then which are active.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
from struct import Struct

JOINING = ("rx-gro", "rx-lro", "rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding")
_SIOCETHTOOL = 0x8946
_GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES = 4  # ETH_SS_FEATURES: the set of strings that names them
_NAME = 32  # ETH_GSTRING_LEN
_MOST = 1024  # features of a driver; Linux has some sixty
_REQUEST = Struct("@16sP")  # ifreq: the interface, where the command is
_COUNT = Struct("=IIQI")  # ethtool_sset_info
_STRINGS = Struct("=III")  # ethtool_gstrings
_BLOCKS = Struct("=II")  # ethtool_gfeatures, ethtool_sfeatures
_STATE = Struct("=IIII")  # 32 features: available, requested, active, never changed
_WISH = Struct("=II")  # 32 features: which are meant, which are wanted


def offloads_on(name: str, *, switch_off: bool) -> tuple[str, ...]:
    """Those of JOINING that are on; with `switch_off` (needs CAP_NET_ADMIN) those that could not be switched off.

    A driver that knows no features (some virtual ones) has none on.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        driver = _Driver(asked, name)
        try:
            features = driver.features()
            on = driver.active(features)
            if not switch_off or not on:
                return on
            for feature in on:
                driver.switch_off(features.index(feature), len(features))
            return driver.active(features)
        except OSError:
            return ()


class _Driver:
    """The driver of one interface. Every method raises OSError where it does not know the question."""

    def __init__(self, asked: socket.socket, name: str) -> None:
        self._asked, self._name = asked, name.encode()[:15]

    def _answer(self, command: bytes) -> bytes:
        room = ctypes.create_string_buffer(command, len(command))
        fcntl.ioctl(self._asked, _SIOCETHTOOL, _REQUEST.pack(self._name, ctypes.addressof(room)))
        return room.raw

    def features(self) -> list[str]:
        """Names, in the order of their bits."""
        _, _, known, count = _COUNT.unpack(self._answer(_COUNT.pack(_GSSET_INFO, 0, 1 << _FEATURES, 0)))
        if not known or not 0 < count <= _MOST:
            return []
        raw = self._answer(_STRINGS.pack(_GSTRINGS, _FEATURES, count) + bytes(_NAME * count))[_STRINGS.size :]
        return [raw[i * _NAME : (i + 1) * _NAME].partition(b"\0")[0].decode(errors="replace") for i in range(count)]

    def active(self, features: list[str]) -> tuple[str, ...]:
        """Those of JOINING that are on."""
        blocks = (len(features) + 31) // 32
        raw = self._answer(_BLOCKS.pack(_GFEATURES, blocks) + bytes(_STATE.size * blocks))[_BLOCKS.size :]
        bits = [_STATE.unpack_from(raw, block * _STATE.size)[2] for block in range(blocks)]
        return tuple(name for name in JOINING if name in features and bits[(at := features.index(name)) // 32] >> at % 32 & 1)

    def switch_off(self, at: int, count: int) -> None:
        """Wish that a feature is off. Where that is not permitted, or the driver has fixed it, it stays on."""
        blocks = (count + 31) // 32
        wishes = b"".join(_WISH.pack(1 << at % 32 if at // 32 == block else 0, 0) for block in range(blocks))
        try:
            self._answer(_BLOCKS.pack(_SFEATURES, blocks) + wishes)
        except OSError:
            return
