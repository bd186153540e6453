"""What a device says of itself: vendor, model, firmware, names, out of one payload. Own small readers, no library.

The bytes are hostile. Every reader walks them with bounds, and whatever a lie in a length makes it stumble over is caught
here: the answer is then that nothing was said. Texts come out as one printable line of at most MAX_TEXT characters.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from appliance.learn.site.selfsaid import ATTRIBUTES, MAX_TEXT, Told
from appliance.protocols import describe_field, describe_network
from appliance.protocols.shape import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 32  # texts out of one payload
READERS: Final[dict[str, Callable[[bytes, int], Iterator[Told]]]] = {
    "modbus": describe_field.modbus,
    "cip": describe_field.cip,
    "s7": describe_field.s7,
    "bacnet": describe_field.bacnet,
    "lldp": describe_network.lldp,
    "dcp": describe_network.dcp,
    "dhcp": describe_network.dhcp,
    "snmp": describe_network.snmp,
    "mdns": describe_network.mdns,
    "nbns": describe_network.nbns,
}


def describe(protocol: str, payload: bytes, sender: int) -> tuple[Told, ...]:
    """(source, attribute, text) of all that the payload says of its sender; nothing for damage, never an exception.

    protocol   one of READERS
    sender     lower half of the sender's address, to tell whose name a record gives
    """
    found: list[Told] = []
    try:
        for source, attribute, raw in READERS[protocol](payload, sender):
            text = clean(raw).strip(" .")[:MAX_TEXT]
            if text and attribute in ATTRIBUTES:
                found.append((source, attribute, text))
            if len(found) >= MOST:
                break
    except (IndexError, ValueError, struct.error):  # a length that lies; what was said before it counts
        pass
    return tuple(dict.fromkeys(found))
