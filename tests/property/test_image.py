"""Process images add up: any order, any grouping, also where their caps are reached."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.numbers import image as module
from appliance.learn.numbers.image import BLOCK_CELLS, Image, RowImage, bounded_image, merge_images


@contextmanager
def caps(row: int, total: int) -> Iterator[None]:
    """Small caps; they are constants of the module, so they are set there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_ROW_BYTES", row)
        patch.setattr(module, "MAX_BYTES", total)
        yield


@st.composite
def images(draw: st.DrawFn) -> Image:
    """A few rows with samples in a few blocks."""
    out = Image()
    for row in draw(st.sets(st.integers(1, 6), max_size=4)):
        cells = sorted(draw(st.sets(st.integers(0, 6 * BLOCK_CELLS), min_size=1, max_size=12)))
        data = np.array(draw(st.lists(st.binary(min_size=2, max_size=2), min_size=len(cells), max_size=len(cells))))
        bytes_ = np.array([list(x.ljust(2, b"\0")) for x in data.tolist()], np.uint8)
        out.rows[(6, 502), "x", row] = RowImage(9, np.array(cells, np.int64), bytes_, 1, request=False)
    return bounded_image(out)


def joined(a: Image, b: Image) -> Image:
    return bounded_image(merge_images(a, b))


def plain(image: Image) -> dict[object, object]:
    rows = {key: (one.cell.tolist(), one.data.tolist(), one.limit) for key, one in image.rows.items()}
    return {"limit": image.limit, "rows": rows}


@pytest.mark.parametrize(("row", "total"), [(1 << 20, 1 << 25), (80, 1 << 25), (80, 200), (1 << 20, 150)])
@given(st.data())
def test_order_and_grouping_change_nothing(row: int, total: int, data: st.DataObject) -> None:
    with caps(row, total):
        a, b, c = (data.draw(images()) for _ in range(3))
        assert plain(joined(a, b)) == plain(joined(b, a))
        assert plain(joined(joined(a, b), c)) == plain(joined(a, joined(b, c)))
        assert plain(joined(a, Image())) == plain(a)
