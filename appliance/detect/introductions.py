"""Known assets that say of themselves something else than while learning: other firmware, another model, another name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.decode.conversation import Address
from appliance.detect.finding import Finding, Kind
from appliance.detect.making import finding_at
from appliance.learn.counting.quota import MAX_TRACKED
from appliance.learn.meaning.model import Model
from appliance.learn.site.selfsaid import MAX_TEXTS, Listener, Reader, Told

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned, Conversation

_LOOSE: Final = frozenset({"dhcp", "mdns", "nbns"})  # names that hosts choose and change as they like
_EXAMPLES: Final = 4


@dataclass(slots=True)
class IntroductionDetector:
    """Compares what devices say of themselves with what they said."""

    model: Model
    reader: Reader
    _listener: Listener = field(init=False)
    _known: dict[tuple[Address, str, str], list[str]] = field(init=False)
    _told: set[tuple[Address, Told]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Index the learned texts by who said them and of what they are."""
        self._listener = Listener(self.reader)
        self._known = defaultdict(list)
        for address, texts in self.model.baseline.said.items():
            if len(texts) >= MAX_TEXTS:  # not all was kept
                continue
            for source, attribute, text in texts:
                self._known[address, source, attribute].append(text)

    def judge(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> list[Finding]:
        """Findings of one batch: each new text once."""
        findings: list[Finding] = []
        for row, address, told in self._listener.hear(batch):
            source, attribute, text = told
            usual = self._known.get((address, source, attribute))
            new = usual is not None and text not in usual and source not in _LOOSE and (address, told) not in self._told
            if not new or usual is None or assigned.conversation[row] < 0 or len(self._told) >= MAX_TRACKED:
                continue
            self._told.add((address, told))
            conversation, request = conversations[assigned.conversation[row]], bool(assigned.request[row])
            seen, normal = _said(attribute, text), tuple(_said(attribute, old) for old in sorted(usual)[:_EXAMPLES])
            findings.append(finding_at(batch, row, conversation, request, Kind.IDENTITY_CHANGE, 0.01, seen, normal))
        return findings


def _said(attribute: str, text: str) -> bytes:
    return f"{attribute} {text}".encode()
