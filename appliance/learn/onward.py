"""Learning that goes on, batch after batch, under structures that a survey has found.

A live plant cannot be read three times. Its first minutes can (they wait on disk), and what follows is counted under what
they showed. Services that appear later are sampled meanwhile, and counted from the moment they have a structure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decode.conversation import ConversationTable
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.session import Sampler, Tally, known_servers

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Port
    from appliance.learn.messages.structure import Structure
    from appliance.learn.site.selfsaid import Reader

LEAST_SAMPLE = 512  # payloads of a service that appeared later, before its structure is inferred


@dataclass(slots=True)
class Onward:
    """One session of learning that is still open.

    before   what was learned before it, None where nothing was
    """

    tally: Tally
    before: Baseline | None = None
    _late: Sampler = field(init=False)

    def __post_init__(self) -> None:
        # One table for both: asked a second time about the same batch it answers the same.
        self._late = Sampler(self.tally.table, known=self.tally.structures)

    @classmethod
    def resumed(cls, before: Baseline, reader: Reader | None = None) -> Onward:
        """A new session that counts under the structures of a baseline: of each service that of most messages.

        reader  what devices say of themselves, as for `Tally`
        """
        table = ConversationTable()
        table.know(known_servers(before))
        chosen: dict[Port, Structure] = {}
        for port, learned in before.services.items():
            chosen[port] = max(learned.items(), key=lambda item: (len(item[1].table), item[0]))[1].structure
        return cls(Tally(table, chosen, reader), before)

    def add(self, batch: DecodedBatch) -> None:
        """Count a batch."""
        self.tally.add(batch)
        self._late.add(batch)

    def adopt(self) -> int:
        """Infer structures of services that appeared later and were sampled enough; returns how many."""
        ready = self._late.ready(LEAST_SAMPLE)
        self.tally.adopt(ready)
        return len(ready)

    def baseline(self) -> Baseline:
        """All that is known, the session that is open included."""
        now = self.tally.baseline()
        return now if self.before is None else merge(self.before, now)
