"""Messages as rows: what a payload is cut into (`decode.cutter`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages as rows, in the order of their frames.

    at            int64, offset of the message in the batch's buffer
    length        int32, bytes
    flow          int64, conversation int32, request bool: as assigned
    time          int64 ns; frame int64: of the frame in which the message begins
    first         int32, offset of the message in the payload of that frame
    split         int32, bytes of it in that frame (the rest came in `last_frame`); equals length where it is whole
    last_frame    int64, frame that completed it, or that showed that nothing will
    broken        bool, the framing of its service does not hold: the payload is taken as one message
    """

    at: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    flow: npt.NDArray[np.int64]
    conversation: npt.NDArray[np.int32]
    request: npt.NDArray[np.bool_]
    time: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    split: npt.NDArray[np.int32]
    last_frame: npt.NDArray[np.int64]
    broken: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Messages:
        """The given rows."""
        return Messages(*(getattr(self, name)[rows] for name in self.__slots__))


def pieces(
    batch: DecodedBatch,
    assigned: Assigned,
    rows: npt.NDArray[np.intp],
    index: npt.NDArray[np.intp],
    first: npt.NDArray[np.int32],
    end: npt.NDArray[np.int32],
) -> Messages:
    """Messages that lie whole in one payload."""
    row = rows[index]
    length, frame = end - first, batch.frame[row]
    return Messages(
        at=batch.payload[row] + first,
        length=length,
        flow=assigned.flow[row],
        conversation=assigned.conversation[row],
        request=assigned.request[row],
        time=batch.time[row],
        frame=frame,
        first=batch.payload_base[row] + first,
        split=length,
        last_frame=frame,
        broken=np.zeros(len(row), bool),
    )


def from_rows(rows: list[tuple[int, ...]]) -> Messages:
    """Messages given one by one, each as the columns of `Messages` in their order."""
    table = np.array(rows, np.int64).reshape(len(rows), 11)
    c = table.T
    i32 = np.int32
    request, broken = c[4].astype(bool), c[10].astype(bool)
    first, split = c[7].astype(i32), c[8].astype(i32)
    return Messages(c[0], c[1].astype(i32), c[2], c[3].astype(i32), request, c[5], c[6], first, split, c[9], broken)


def broken_whole(batch: DecodedBatch, assigned: Assigned, row: npt.NDArray[np.intp]) -> Messages:
    """Payloads that are taken as one message each, though the framing of their service does not hold."""
    whole = pieces(batch, assigned, row, np.arange(len(row)), np.zeros(len(row), np.int32), batch.payload_len[row])
    return replace(whole, broken=np.ones(len(row), bool))


def merged(whole: Messages, broken: Messages, rows: list[tuple[int, ...]]) -> Messages:
    """Fast and slow rows together, in the order of the frames."""
    parts = (whole, broken, from_rows(rows))
    both = Messages(*(np.concatenate([getattr(part, name) for part in parts]) for name in Messages.__slots__))
    return both.take(np.lexsort((both.first, both.frame, both.last_frame)))
