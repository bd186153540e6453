"""A finding about one frame of a conversation, made out of a batch's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Conversation

PAYLOAD_KEPT = 1500


def finding_at(
    batch: DecodedBatch,
    row: int,
    conversation: Conversation,
    request: bool,
    kind: Kind,
    score: float = 0.001,
    seen: bytes = b"",
    normal: tuple[bytes, ...] = (),
) -> Finding:
    """A finding at a row of the batch; `request`: the frame goes from the client to the server; the rest as in Finding."""
    client, server = address_text(*conversation.client), address_text(*conversation.server)
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=client if request else server,
        dst=server if request else client,
        client=client,
        service=conversation.service,
        kind=kind,
        seen=seen,
        normal=normal,
        score=score,
        payload=batch.payload_of(row)[:PAYLOAD_KEPT],
    )
