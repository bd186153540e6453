"""All decoders, and the one that fits some bytes.

Which decoder fits is found from the bytes themselves, not from a port: a Modbus server on port 1502 gets words too. The
order of `DECODERS` goes from the strictest check to the loosest, so that a loose one never takes another's payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.errors import WordsError
from appliance.protocols import bacnet, enip, modbus, s7

if TYPE_CHECKING:
    from appliance.protocols.shape import Decoder, Ranges, Words

DECODERS: tuple[Decoder, ...] = (bacnet, s7, enip, modbus)


def guess(payload: bytes) -> Decoder | None:
    """The first decoder whose cheap check accepts the bytes; None where none does. Imports no library."""
    return next((decoder for decoder in DECODERS if decoder.plausible(payload)), None)


def words(payload: bytes, request: bool, ranges: Ranges = ()) -> Words:
    """Words for a transport payload.

    request  True when the client of the conversation sent it
    ranges   half-open byte ranges whose fields are to be named
    Raises WordsError when no decoder fits or the one that fits fails; never anything else.
    """
    decoder = guess(payload)
    if decoder is None:
        raise WordsError("no decoder knows this payload; the finding stays without words")
    return decoder.words(payload, request, ranges)
