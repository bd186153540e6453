"""How much of each protocol is understood: decoded in words, framed, learned. Per capture, the head learned, the rest looked at.

framing   the length field that learning found ("2 bytes at 4, big-endian, +6"), or none
kinds     kinds of messages learned
stable    share of the rest's messages whose row was known: nothing about them is new but what is open
words     share of the rest's messages that a decoder puts into words
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from appliance.decode.conversation import ConversationTable, Port
from appliance.decode.cutter import Cutter
from appliance.decode.framing import Framing
from appliance.host.sensor.words import WordsLimits, WordsWorker
from appliance.learn.meaning.model import ServiceModel, derive
from appliance.learn.messages.classify import Classifier
from appliance.learn.session import by_service
from appliance.learn.site.roles import RoleStats
from appliance.learn.site.topology import stream_keys
from appliance.pipeline import learn_session
from tests.evaluate.capture import Capture, load

HEAD = 0.6
MAX_WORDS = 400  # messages of a capture that are put into words
LEAST = 16  # messages in the rest, below which a share says nothing


@dataclass(frozen=True)
class Coverage:
    """One service of one capture; shares are nan where the rest has too few messages."""

    capture: str
    port: Port
    learned: int
    looked: int
    framing: Framing
    kinds: int
    stable: float
    words: float


def coverage(path: Path, ports: frozenset[Port]) -> list[Coverage]:
    """Coverage of every service of the capture that is among `ports`. CaptureError, ValueError: as `load`."""
    head, rest = load(path).split(HEAD)
    baseline = learn_session(head.decoded)
    model = derive(baseline)
    seen = _classified(model.services, head, rest)
    out: list[Coverage] = []
    for port, services in model.services.items():
        if port not in ports:
            continue
        service = services[0]
        known, worded = seen.get(port, ([], []))
        share = sum(known) / len(known) if len(known) >= LEAST else float("nan")
        said = sum(worded) / len(worded) if len(worded) >= LEAST else float("nan")
        learned = int(service.table.numbers["count"].sum())
        s = service.structure
        out.append(Coverage(path.name, port, learned, len(known), s.framing, len(s.templates), share, said))
    return out


def _classified(
    services: dict[Port, list[ServiceModel]], head: Capture, rest: Capture
) -> dict[Port, tuple[list[bool], list[bool]]]:
    """Per service: is each message's row known; do the first MAX_WORDS get words."""
    roles = RoleStats()
    for batch in head.decoded():
        roles.add(batch)
    table = ConversationTable()
    table.know(roles.servers())
    cutter = Cutter({port: found[0].structure.framing for port, found in services.items()})
    classifiers = {port: Classifier(found[0].structure) for port, found in services.items()}
    out: dict[Port, tuple[list[bool], list[bool]]] = {}
    cache: list[int] = []
    with WordsWorker(WordsLimits(total_s=600)) as worker:
        for batch in rest.decoded():
            messages = cutter.cut(batch, table.assign(batch), table.conversations)
            keys = stream_keys(table.conversations, cache)
            for port, part in by_service(messages, table.conversations):
                if port not in classifiers:
                    continue
                rows = classifiers[port].classify(part, batch.data, keys).row
                known, worded = out.setdefault(port, ([], []))
                known.extend(np.isin(rows, services[port][0].known).tolist())
                for at, length, up in zip(part.at.tolist(), part.length.tolist(), part.request.tolist(), strict=True):
                    if len(worded) < MAX_WORDS:
                        worded.append(worker.words(batch.data[at : at + length].tobytes(), up) is not None)
    return out
