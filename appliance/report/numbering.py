"""Where a frame stands when several captures are read as one: the capture's name and the number in it, as Wireshark counts."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from appliance.report.wording import plain


@dataclass(slots=True, eq=False)
class Numbering:
    """Captures in the order they were read.

    names   as the operator gave them
    ends    last running frame number of each (running numbers start at 1 and go on from capture to capture)
    """

    names: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def place(self, frame: int) -> tuple[str | None, int]:
        """Capture and frame in it, of a running number; the capture is None where there is only one."""
        if len(self.names) < 2:
            return None, frame
        index = min(bisect_left(self.ends, frame), len(self.names) - 1)
        return self.names[index], frame - (self.ends[index - 1] if index else 0)

    def text(self, frame: int) -> str:
        """For people: "12", or "12 (b.pcap)" where there are several captures."""
        name, number = self.place(frame)
        return str(number) if name is None else f"{number} ({plain(name)})"


ALONE = Numbering()
