"""What of the traffic is seen: ports are opened one after the other, vanish, and come back, while others are watched.

The two directions of a tap may come in over two ports. What was asked while one of them was not watched may have been answered
unseen, and what is answered shortly after may have been asked unseen: neither is a fault, or an attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.learn.timing.replies import WAIT

_I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class View:
    """All that is there, where nobody says otherwise.

    since   ns since the epoch: when the last port was opened; whole: no port that was watched is gone
    """

    since: int = 0
    whole: bool = True

    def would_show_answers(self, asked: _I64) -> npt.NDArray[np.bool_]:
        """Whether an answer to a request of each time (ns) would have been seen, bool [n]."""
        return (asked >= self.since) & self.whole

    def would_show_requests(self, answered: _I64) -> npt.NDArray[np.bool_]:
        """Whether the request of an answer of each time (ns) would have been seen, bool [n]."""
        return (answered >= self.since + WAIT) & self.whole
