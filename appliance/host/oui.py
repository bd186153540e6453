"""Who made a network card: the vendor behind a hardware address, from the IEEE registry that netaddr ships.

Nothing is fetched. The registry costs 0.1 s and 25 MB the first time it is asked, so it is imported only then: the
running sensor never asks, lists and reports do.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LOCAL: Final = "locally administered"
GROUP: Final = "group address"
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2}){5}")
_AUTHORITY: Final = "IEEE Registration Authority"  # holds blocks that it hands on in slices; says nothing of the maker


@lru_cache(maxsize=4096)
def vendor(mac: str) -> str | None:
    """The registered maker of a hardware address ("00:80:f4:09:51:3b"), or None where the registry does not know.

    Broadcast and multicast addresses give "group address", addresses without a maker (virtual machines, private Wi-Fi)
    "locally administered". Text that is not a hardware address gives None: it came from a list, not from a person.
    """
    if not _MAC.fullmatch(mac):
        return None
    value = int(mac.replace(":", "").replace("-", ""), 16)
    if value == 0:
        return None
    first = value >> 40
    if first & 1:
        return GROUP
    if first & 2:
        return LOCAL
    return _registered(value)


def _registered(value: int) -> str | None:
    from netaddr import EUI, NotRegisteredError

    address = EUI(value, version=48)
    try:
        if address.is_iab():  # 36-bit blocks of small makers, listed apart
            return _tidy(address.iab.registration().org)
        return _tidy(address.oui.registration().org)
    except NotRegisteredError:
        return None


def _tidy(organisation: str) -> str | None:
    name = " ".join(organisation.split())
    return None if not name or name == _AUTHORITY else name
