"""The packets of incidents in a share: kept in its own memory, written by the sensor."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from appliance.host.sensor.excerpt_files import FOLDER, SUFFIX, Sink
from appliance.host.sensor.excerpts import Excerpts
from appliance.host.sensor.sharing import MOST, Channel, frames_said
from appliance.packets.pcap import HEADER

if TYPE_CHECKING:
    from appliance.packets.frames import Frames
    from appliance.report.records import PacketsRecord

_PIECE = MOST // 2  # bytes of frames in one message; their columns take less than the records of a capture and a half


Number = TypeVar("Number", int, npt.NDArray[np.int64])


def number_among(number: Number, share: int, shares: int) -> Number:
    """The number among the frames of all shares of one that a share numbers for itself."""
    return (number - 1) * shares + share + 1


@dataclass(slots=True)
class Relay:
    """Hands excerpts to the sensor; see `excerpt_files.Sink`."""

    folder: Path
    disk: int
    channel: Channel
    share: int
    shares: int
    problem: str = ""
    left_out: int = 0
    count: int = 0
    total: int = 0
    sizes: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def busy(self) -> bool:
        """Never: what finds no room is counted."""
        return False

    def wait(self) -> None:
        """Nothing to wait for."""

    def put(self, incident: str, frames: Frames) -> None:
        """Send frames of an incident, piece by piece."""
        frames = replace(frames, number=number_among(frames.number, self.share, self.shares))
        piece = np.cumsum(frames.captured.astype(np.int64) + 2 * HEADER) // _PIECE
        cuts = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(frames)]
        for begin, end in pairwise(cuts):
            part = frames.rows(np.arange(begin, end))
            if end > begin and not self.channel.say(
                {"type": "frames", "incident": incident, "frames": end - begin}, frames_said(part)
            ):
                self.left_out += end - begin
        name = f"{incident}{SUFFIX}"
        self.sizes[name] = self.sizes.get(name, 0) + frames.size
        self.sizes.move_to_end(name)
        while len(self.sizes) > 1024:
            self.sizes.popitem(last=False)

    def said(self) -> list[PacketsRecord]:
        """The sensor says what it wrote."""
        return []

    def leave(self) -> list[PacketsRecord]:
        """Nothing is left here."""
        return []


@dataclass(slots=True)
class Relayed(Excerpts):
    """Excerpts of share `share` of `shares`."""

    channel: Channel = field(kw_only=True)
    share: int = field(kw_only=True)
    shares: int = field(kw_only=True)

    def sink(self) -> Sink:
        """The sensor."""
        return Relay(self.directory / FOLDER, self.settings.disk, self.channel, self.share, self.shares)

    def number(self, frame: int) -> int:
        """The number of a frame among those of all shares."""
        return number_among(frame, self.share, self.shares)
