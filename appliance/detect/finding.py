"""A finding: one deviation of the wire from the baseline, with the exact bytes where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What deviates. The vocabulary is closed: texts, techniques and advice are tables over it."""

    NEW_ASSET = "new-asset"  # an address never seen talks
    NEW_CONVERSATION = "new-conversation"  # known or new asset talks to somebody it never talked to, or over a new service
    SCAN = "scan"  # many dark addresses or ports tried by one initiator
    ADDRESS_CHANGE = "address-change"  # an address moved to another hardware address
    UNKNOWN_COMMAND = "unknown-command"  # bytes that select what a message does have values never seen in this conversation
    UNKNOWN_VALUE = "unknown-value"  # a data field left the domain it was learned with
    UNKNOWN_COMBINATION = "unknown-combination"  # each value is known here, together they are not
    WRONG_LENGTH = "wrong-length"  # a message of a length its kind never has
    BROKEN_FRAMING = "broken-framing"  # the length field learned for this service does not chain
    WRONG_IDENTITY = "wrong-identity"  # a value that is constant within a connection changed inside it
    WRONG_ECHO = "wrong-echo"  # an answer does not repeat what its request carried
    UNASKED_ANSWER = "unasked-answer"  # an answer of a kind that no request of this conversation calls for
    MISSING_ANSWER = "missing-answer"  # requests stay without an answer
    SILENCE = "silence"  # a conversation that was periodic stopped
    PERIOD_CHANGE = "period-change"  # a periodic message came at another rate
    WRONG_ORDER = "wrong-order"  # a known message came at a moment or after a message where it never came
    REPLAY = "replay"  # messages came again byte for byte, counters included
    FLOOD = "flood"  # far more messages than ever learned
    CONNECTION_FAILURE = "connection-failure"  # a connection is refused, reset or not accepted
    PROCESS_CONTRADICTION = "process-contradiction"  # a value in its range that contradicts what other values account for
    OVERLAP = "overlap"  # TCP segments overlap with different bytes: two receivers may read two things
    SIMILAR_ASSET = "similar-asset"  # a new asset that so far only does what its kind does here
    ROLE_CHANGE = "role-change"  # a server starts to ask, or a client begins to serve
    DARK_ADDRESS = "dark-address"  # an address is asked that nobody has ever used here
    DUPLICATE_ADDRESS = "duplicate-address"  # two pieces of hardware use one address at the same time
    READDRESSED = "readdressed"  # known hardware appears under a new address
    IDENTITY_CHANGE = "identity-change"  # a device says of itself something else than while learning (firmware, model)
    NEW_SERVICE = "new-service"  # a broadcast or multicast service, or a protocol without IP, that was never in use
    DAMAGE = "damage"  # frames damaged in a way this site never showed


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviation.

    frame      1-based frame number in the input, as Wireshark counts; None for an absence
    time_ns    nanoseconds since the epoch
    src, dst   addresses as text, in the direction of the frame ("10.0.0.1", "fe80::1", "00:11:22:33:44:55")
    client     the address that asks in this conversation; equals src for a request, dst for an answer
    service    "tcp/502", "udp/47808", "eth/0x8892"
    ranges     half-open byte ranges (first, end) in the transport payload of the frame
    seen       the bytes at the ranges, concatenated; without ranges what was odd, such as hardware, or a text
    normal     what was learned for that place, a few examples in order of frequency
    score      calibrated p-value, small = abnormal
    payload    head of the transport payload (at most 1500 bytes), for words and for drawing
    count      how many like deviations this finding stands for (storms are counted, not listed)
    match      what this content would be accepted by (`learn.meaning.accepted`), "" where content is no part of it
    """

    frame: int | None
    time_ns: int
    src: str
    dst: str
    client: str
    service: str
    kind: Kind
    ranges: tuple[tuple[int, int], ...] = ()
    seen: bytes = b""
    normal: tuple[bytes, ...] = ()
    score: float = 0.0
    payload: bytes = b""
    count: int = 1
    match: str = ""
