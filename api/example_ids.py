"""Ids as they look in the examples of the API's description: those of one invented patient."""

from __future__ import annotations

from typing import Final

STUDY_UID: Final = "2.25.213522584514927702366332410001961105085"
OTHER_UID: Final = "2.25.103881826201434203546050803142601325660"
PATIENT: Final = "p_5f0c1d2e3b4a59687788"
ENCODER: Final = "phantom-mini-1f2e3d4c"
