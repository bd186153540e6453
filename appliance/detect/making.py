"""A finding about one frame of a conversation, made out of a batch's columns, or about one message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.detect.wire import Known, on_the_wire
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.text import READ

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Conversation
    from appliance.detect.locate import Deviation
    from appliance.learn.meaning.model import ServiceModel
    from appliance.learn.messages.classify import Classified

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


def finding_of(
    batch: DecodedBatch,
    c: Classified,
    i: int,
    conversation: Conversation,
    deviation: Deviation,
    service: ServiceModel,
    stream: int,
) -> Finding:
    """The finding that message i deviates so from what `service` has learned of its conversation."""
    m = c.wire
    head, deviation = _on_the_wire(batch, c, i, deviation, service, stream)
    first, split = int(m.first[i]), int(m.split[i])
    whole = all(b <= split for _, b in deviation.ranges)
    frame = int(m.frame[i]) if whole else int(m.last_frame[i])
    shift = first if whole else -split
    ranges = tuple((max(0, a + shift), b + shift) for a, b in deviation.ranges if b + shift > 0)
    client, server = address_text(*conversation.client), address_text(*conversation.server)
    at = int(m.at[i])
    request = bool(m.request[i])
    payload = batch.data[at : at + min(int(m.length[i]), PAYLOAD_KEPT)].tobytes()
    before = batch.data[max(0, at - first) : at].tobytes() if whole and first else b""
    return Finding(
        frame=frame,
        time_ns=int(m.time[i]),
        src=client if request else server,
        dst=server if request else client,
        client=client,
        service=conversation.service,
        kind=deviation.kind,
        ranges=ranges,
        seen=b"".join(head[a:b] for a, b in deviation.ranges),
        normal=deviation.normal,
        score=deviation.score,
        payload=(before + payload)[:PAYLOAD_KEPT],
        match=deviation.match,
    )


def _on_the_wire(
    batch: DecodedBatch, c: Classified, i: int, deviation: Deviation, service: ServiceModel, stream: int
) -> tuple[bytes, Deviation]:
    """The head of message i and what deviates in it as they stand on the wire, where both were laid out otherwise."""
    m, structure = c.wire, service.structure
    at, length, request = int(m.at[i]), int(m.length[i]), bool(m.request[i])
    layout = structure.layout(request=request)
    if layout is not None:
        head = batch.data[at : at + min(length, READ)].tobytes()
        rows = service.by_stream.get((stream, not request), np.zeros(0, np.intp))
        table = service.table
        known = Known(table.bytes[rows], structure.closed()[table.template[rows]], table.length[rows])
        return head, on_the_wire(layout, head, length, deviation, known)
    if structure.checksum is not None:
        head = batch.data[at : at + min(length, WIDTH)].tobytes()
        return head, _with_check(deviation, *structure.checksum.told(head, length))
    return c.heads[i].tobytes(), deviation


def _with_check(deviation: Deviation, at: int, right: bytes) -> Deviation:
    """What is normal as it would stand on the wire: with the right check, which is zero in what was learned."""
    places = [offset - at for a, b in deviation.ranges for offset in range(a, b)]
    if not any(0 <= place < len(right) for place in places):
        return deviation
    normal = [
        bytes(right[place] if 0 <= place < len(right) else byte for place, byte in zip(places, value, strict=True))
        for value in deviation.normal
        if len(value) == len(places)
    ]
    return replace(deviation, normal=tuple(dict.fromkeys(normal)))
