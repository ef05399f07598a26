"""C-arm angles to view names: the table of the documentation, its borders, and its edges."""

import pytest

from core.schema import View
from embedder.dicom.view import view_from_angles


@pytest.mark.parametrize(
    ("primary", "secondary", "view"),
    [
        (0.0, 0.0, View.AP),
        (14.9, -14.9, View.AP),
        (0.0, 15.0, View.AP_CRANIAL),
        (-5.0, 38.0, View.AP_CRANIAL),
        (3.0, -30.0, View.AP_CAUDAL),
        (15.0, 0.0, View.LAO_STRAIGHT),
        (45.0, 14.9, View.LAO_STRAIGHT),
        (69.9, 0.0, View.LAO_STRAIGHT),
        (70.0, 0.0, View.LAO_LATERAL),
        (90.0, -3.0, View.LAO_LATERAL),
        (40.1, 27.0, View.LAO_CRANIAL),
        (45.0, -30.0, View.LAO_CAUDAL),  # the "spider"
        (90.0, 20.0, View.LAO_CRANIAL),
        (-30.0, 0.0, View.RAO_STRAIGHT),
        (-90.0, 0.0, View.RAO_LATERAL),
        (-20.0, 25.0, View.RAO_CRANIAL),
        (-20.0, -20.0, View.RAO_CAUDAL),
        (180.0, 90.0, View.LAO_CRANIAL),
    ],
)
def test_angles_have_the_documented_name(primary, secondary, view):
    assert view_from_angles(primary, secondary) is view


@pytest.mark.parametrize(
    ("primary", "secondary"),
    [
        (None, 0.0),
        (0.0, None),
        (None, None),
        (float("nan"), 0.0),
        (0.0, float("inf")),
        (180.1, 0.0),
        (0.0, -90.1),
    ],
)
def test_no_usable_angle_is_other(primary, secondary):
    assert view_from_angles(primary, secondary) is View.OTHER
