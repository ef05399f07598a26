"""Contact sheets: pictures where they belong, black between."""

import numpy as np
import pytest

from phantom.picture.sheet import GAP_PX, contact_sheet


def test_pictures_lie_side_by_side():
    a, b, c = (np.full((10, 12), grey, np.uint8) for grey in (50, 100, 200))
    sheet = contact_sheet([[a, b], [c]])
    assert sheet.shape == (20 + GAP_PX, 24 + GAP_PX)
    assert sheet.dtype == np.uint8
    assert np.all(sheet[:10, :12] == 50)
    assert np.all(sheet[:10, 12 + GAP_PX :] == 100)
    assert np.all(sheet[10 + GAP_PX :, :12] == 200)
    assert np.all(sheet[10 + GAP_PX :, 12:] == 0)
    assert np.all(sheet[10 : 10 + GAP_PX] == 0)


@pytest.mark.parametrize("rows", [[], [[]]])
def test_without_pictures_there_is_no_sheet(rows):
    with pytest.raises(ValueError, match="needs a picture"):
        contact_sheet(rows)


def test_one_row_has_one_height():
    with pytest.raises(ValueError, match=r"heights \[4, 5\]"):
        contact_sheet([[np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)]])
