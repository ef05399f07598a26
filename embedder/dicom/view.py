"""C-arm angles to one of the twelve view names.

The angles are those of DICOM PS3.3 C.8.7.5.1.2: the primary angle is positive when the detector
stands toward the patient's left (LAO), the secondary when it stands toward the head (cranial).

The rule, with |p| and |s| the magnitudes of the two angles in degrees:

=====================  ============  ==============  =============
name                   |p| < 15      15 <= |p| < 70  |p| >= 70
=====================  ============  ==============  =============
|s| < 15               AP            xAO Straight    xAO Lateral
s >= 15                AP Cranial    xAO Cranial     xAO Cranial
s <= -15               AP Caudal     xAO Caudal      xAO Caudal
=====================  ============  ==============  =============

where xAO is LAO for p > 0 and RAO for p < 0.  An angle that is missing, not finite, or outside
what a C-arm can do gives `View.OTHER`.
"""

from __future__ import annotations

import math

from core.schema import View

STRAIGHT_BELOW_DEG = 15.0
"""An angle smaller than this is called no angulation."""
LATERAL_FROM_DEG = 70.0
"""A primary angle from here on, without angulation, is a lateral view."""
MAX_PRIMARY_DEG = 180.0
"""Range of PositionerPrimaryAngle (PS3.3 C.8.7.5.1.2)."""
MAX_SECONDARY_DEG = 90.0
"""Range of PositionerSecondaryAngle (PS3.3 C.8.7.5.1.2)."""

_NAMES: dict[tuple[str, str], View] = {
    ("AP", ""): View.AP,
    ("AP", "Cranial"): View.AP_CRANIAL,
    ("AP", "Caudal"): View.AP_CAUDAL,
    ("LAO", "Straight"): View.LAO_STRAIGHT,
    ("LAO", "Lateral"): View.LAO_LATERAL,
    ("LAO", "Cranial"): View.LAO_CRANIAL,
    ("LAO", "Caudal"): View.LAO_CAUDAL,
    ("RAO", "Straight"): View.RAO_STRAIGHT,
    ("RAO", "Lateral"): View.RAO_LATERAL,
    ("RAO", "Cranial"): View.RAO_CRANIAL,
    ("RAO", "Caudal"): View.RAO_CAUDAL,
}


def view_from_angles(primary_deg: float | None, secondary_deg: float | None) -> View:
    """Name the projection of a C-arm position.

    Parameters
    ----------
    primary_deg : float or None
        PositionerPrimaryAngle in degrees, -180 to 180, positive toward LAO.
    secondary_deg : float or None
        PositionerSecondaryAngle in degrees, -90 to 90, positive toward cranial.

    Returns
    -------
    View
        `View.OTHER` when an angle is missing, not finite or out of range.
    """
    if primary_deg is None or secondary_deg is None:
        return View.OTHER
    if not (math.isfinite(primary_deg) and math.isfinite(secondary_deg)):
        return View.OTHER
    if abs(primary_deg) > MAX_PRIMARY_DEG or abs(secondary_deg) > MAX_SECONDARY_DEG:
        return View.OTHER
    return _NAMES[_side(primary_deg), _tilt(primary_deg, secondary_deg)]


def _side(primary_deg: float) -> str:
    if abs(primary_deg) < STRAIGHT_BELOW_DEG:
        return "AP"
    return "LAO" if primary_deg > 0 else "RAO"


def _tilt(primary_deg: float, secondary_deg: float) -> str:
    if abs(secondary_deg) >= STRAIGHT_BELOW_DEG:
        return "Cranial" if secondary_deg > 0 else "Caudal"
    if abs(primary_deg) < STRAIGHT_BELOW_DEG:
        return ""
    return "Lateral" if abs(primary_deg) >= LATERAL_FROM_DEG else "Straight"
