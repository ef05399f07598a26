"""The view names mirror: left for right, head for foot; and every angle has one."""

from hypothesis import given
from hypothesis import strategies as st

from core.schema import View
from embedder.dicom.view import view_from_angles

PRIMARY = st.floats(-180, 180)
SECONDARY = st.floats(-90, 90)


def swapped(view: View, one: str, other: str) -> View:
    name = view.value.replace(one, "*").replace(other, one).replace("*", other)
    return View(name)


@given(PRIMARY, SECONDARY)
def test_left_mirrors_right(primary, secondary):
    view = view_from_angles(primary, secondary)
    assert view_from_angles(-primary, secondary) is swapped(view, "LAO", "RAO")


@given(PRIMARY, SECONDARY)
def test_head_mirrors_foot(primary, secondary):
    view = view_from_angles(primary, secondary)
    assert view_from_angles(primary, -secondary) is swapped(view, "Cranial", "Caudal")


@given(PRIMARY, SECONDARY)
def test_every_position_of_a_c_arm_has_a_name(primary, secondary):
    assert view_from_angles(primary, secondary) is not View.OTHER


@given(st.floats() | st.none(), st.floats() | st.none())
def test_any_input_has_a_view(primary, secondary):
    assert isinstance(view_from_angles(primary, secondary), View)
