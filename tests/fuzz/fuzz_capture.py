"""Coverage-guided fuzzing of packets/ and decode/: a batch or CaptureError, never anything else.

    python tests/fuzz/fuzz_capture.py -max_total_time=20

The first byte chooses gzip or plain and the size of the pieces in which the rest is handed out.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["appliance"]):
    from appliance.decode.headers import DecodeState, decode
    from appliance.errors import CaptureError
    from appliance.host.files import FileReader, GzipReader
    from appliance.packets.reader import batches
    from appliance.packets.source import Reader, open_source

MOST_FRAMES = 5000  # a gzip bomb is not what is looked for here


class Bytes(FileReader):
    """Bytes as an input."""

    def __init__(self, raw: bytes, piece: int) -> None:
        """Hand out `raw` in pieces of at most `piece` bytes."""
        self._raw, self._piece = raw, piece

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the head of `buffer`."""
        size = min(len(buffer), self._piece, len(self._raw))
        buffer[:size], self._raw = self._raw[:size], self._raw[size:]
        return size

    def close(self) -> None:
        """Forget the rest."""
        self._raw = b""


def one_input(raw: bytes) -> None:
    """Read and decode one input."""
    if not raw:
        return
    plain = Bytes(raw[1:], 1 + 97 * (raw[0] >> 1))
    reader: Reader = GzipReader(plain) if raw[0] & 1 else plain
    state = DecodeState()
    try:
        with open_source("input", reader) as source:
            for batch in batches(source, max_frames=64, block=1):
                seen = decode(batch, state)
                end = seen.payload + seen.payload_len
                if (seen.payload_len < 0).any() or (end > batch.data.size).any():
                    raise AssertionError("a payload lies outside the buffer")
                if source.frames > MOST_FRAMES:
                    break
    except CaptureError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
