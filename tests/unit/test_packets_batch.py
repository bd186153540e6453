"""A batch is cut at a time where another ring has the rest."""

import pytest

from appliance.packets.batch import batch_of

FRAMES = [(100, b"a" * 60), (300, b"b" * 61), (200, b"c" * 62)]


@pytest.mark.parametrize(("time", "kept"), [(99, b""), (100, b"a"), (200, b"ac"), (299, b"ac"), (300, b"abc")])
def test_what_is_later_is_left_out_and_the_rest_is_numbered_on(time: int, kept: bytes) -> None:
    batch = batch_of(FRAMES, numbers=iter((7, 8, 9)))
    cut = batch.up_to(time)
    assert (cut is None) == (not kept)
    if cut is not None:
        assert b"".join(cut.bytes_of(row)[:1] for row in range(len(cut))) == kept
        assert cut.frame.tolist() == [7, 8, 9][: len(kept)]
        assert cut.captured.tolist() == [60 + b"abc".index(letter) for letter in kept]
