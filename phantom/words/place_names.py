"""What the places of the coronary tree are called, as clinicians write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Words = Mapping[str, tuple[str, ...]]

# fmt: off
PLACES: Final[Words] = {
    "prox_rca": (
        "proximal RCA", "prox RCA", "pRCA", "RCA proximal", "proximal right coronary artery",
        "proximal right coronary", "right coronary artery proximal segment", "ostial RCA",
        "proximal third of the RCA", "RCA segment 1", "RCA ostium", "proximal part of the RCA",
    ),
    "mid_rca": (
        "mid RCA", "middle RCA", "mRCA", "RCA mid", "mid right coronary artery",
        "mid right coronary", "right coronary artery mid segment", "mid portion of the RCA",
        "middle third of the RCA", "RCA segment 2", "mid part of the right coronary artery",
    ),
    "dist_rca": (
        "distal RCA", "dist RCA", "dRCA", "RCA distal", "distal right coronary artery",
        "distal right coronary", "right coronary artery distal segment",
        "distal third of the RCA", "RCA segment 3", "distal part of the RCA",
    ),
    "pda": (
        "PDA", "posterior descending artery", "posterior descending", "right PDA", "RPDA",
        "posterior interventricular artery", "PDA segment 4", "R-PDA",
        "posterior descending branch",
    ),
    "posterolateral": (
        "right posterolateral branch", "posterolateral branch of the RCA", "RPL", "RPLB",
        "right posterolateral artery", "right PL branch", "posterolateral RCA", "right PLV",
        "RCA posterolateral segment 16",
    ),
    "left_main": (
        "left main", "LM", "LMCA", "left main coronary artery", "left main stem", "LMS",
        "left main trunk", "left main segment 5", "main stem", "unprotected left main",
    ),
    "prox_lad": (
        "proximal LAD", "prox LAD", "pLAD", "LAD proximal", "proximal left anterior descending",
        "proximal left anterior descending artery", "ostial LAD", "LAD ostium", "LAD ostial",
        "left anterior descending proximal third", "LAD segment 6", "LAD at its origin",
        "origin of the LAD", "proximal part of the LAD",
    ),
    "mid_lad": (
        "mid LAD", "middle LAD", "mLAD", "LAD mid", "mid left anterior descending",
        "mid left anterior descending artery", "left anterior descending mid third",
        "middle third of the LAD", "LAD segment 7", "mid portion of the LAD",
    ),
    "dist_lad": (
        "distal LAD", "dist LAD", "dLAD", "LAD distal", "distal left anterior descending",
        "distal left anterior descending artery", "apical LAD", "distal third of the LAD",
        "LAD segment 8", "left anterior descending distal third",
    ),
    "D1": (
        "first diagonal", "D1", "diagonal 1", "first diagonal branch", "1st diagonal", "diag 1",
        "LAD first diagonal", "first diagonal artery", "D1 segment 9",
    ),
    "D2": (
        "second diagonal", "D2", "diagonal 2", "second diagonal branch", "2nd diagonal", "diag 2",
        "LAD second diagonal", "second diagonal artery", "D2 segment 10",
    ),
    "prox_lcx": (
        "proximal LCX", "prox LCx", "pLCX", "LCX proximal", "proximal circumflex", "prox circ",
        "proximal left circumflex", "proximal left circumflex artery", "ostial circumflex",
        "circumflex proximal third", "LCX segment 11", "ostial LCX", "origin of the circumflex",
    ),
    "mid_lcx": (
        "mid LCX", "middle LCX", "mLCX", "LCX mid", "mid circumflex", "mid circ",
        "mid left circumflex", "mid left circumflex artery", "middle third of the circumflex",
        "mid portion of the LCX",
    ),
    "dist_lcx": (
        "distal LCX", "dist LCX", "dLCX", "LCX distal", "distal circumflex", "distal circ",
        "distal left circumflex", "distal left circumflex artery", "LCX segment 13",
        "distal third of the circumflex",
    ),
    "om1": (
        "first obtuse marginal", "OM1", "obtuse marginal 1", "first marginal", "OM 1",
        "first obtuse marginal branch", "1st obtuse marginal", "1st OM", "marginal 1", "first OM",
    ),
    "om2": (
        "second obtuse marginal", "OM2", "obtuse marginal 2", "second marginal", "OM 2",
        "second obtuse marginal branch", "2nd obtuse marginal", "2nd OM", "marginal 2", "second OM",
    ),
    "bx": (
        "ramus intermedius", "ramus", "intermediate branch", "intermediate artery", "RI",
        "ramus branch", "bisector", "ramus intermedius artery", "bissectrice",
    ),
    "lvp": (
        "left posterolateral branch", "posterolateral branch of the circumflex", "LPL",
        "left posterolateral artery", "left PL branch", "circumflex posterolateral", "left PLV",
        "left posterolateral segment 14",
    ),
    "lad": (
        "LAD", "left anterior descending", "left anterior descending artery", "LAD artery",
        "LAD vessel", "anterior descending", "anterior descending artery",
    ),
    "lcx": (
        "LCX", "LCx", "circumflex", "left circumflex", "circumflex artery", "CX", "circ",
        "left circumflex artery", "Cx artery",
    ),
    "rca": (
        "RCA", "right coronary artery", "right coronary", "RCA vessel", "right coronary vessel",
    ),
    "diagonal": ("diagonal", "diagonal branch", "diagonals", "diag", "any diagonal"),
    "marginal": (
        "obtuse marginal", "OM", "marginal branch", "obtuse marginals", "marginal", "OM branch",
    ),
    "left": (
        "left coronary artery", "left coronary system", "left coronary tree", "left system", "LCA",
        "left coronary", "left coronary circulation",
    ),
    "right": ("right coronary system", "right coronary tree", "right system",
              "right coronary circulation"),
    "any": ("any coronary artery", "any vessel", "coronary artery", "coronary arteries",
            "any coronary segment", "coronaries"),
}
"""Names of a place in English, as clinicians write them; the AHA's segment numbers among them."""

HELD_OUT_PLACES: Final[Words] = {
    "prox_rca": ("right coronary artery in its proximal third",),
    "mid_rca": ("RCA in its mid third",),
    "dist_rca": ("right coronary, distal third",),
    "pda": ("posterior descending vessel",),
    "posterolateral": ("posterolateral artery of the right coronary",),
    "left_main": ("left main artery",),
    "prox_lad": ("left anterior descending artery near its origin",),
    "mid_lad": ("LAD in its middle segment",),
    "dist_lad": ("LAD near the apex, distal segment",),
    "D1": ("1st diagonal branch of the LAD",),
    "D2": ("2nd diagonal branch of the LAD",),
    "prox_lcx": ("circumflex artery, proximal segment",),
    "mid_lcx": ("circumflex artery, mid segment",),
    "dist_lcx": ("circumflex artery, distal segment",),
    "om1": ("1st marginal branch",),
    "om2": ("2nd marginal branch",),
    "bx": ("intermediate ramus",),
    "lvp": ("posterolateral branch, left",),
    "lad": ("left anterior descending coronary artery",),
    "lcx": ("left circumflex coronary artery",),
    "rca": ("right coronary vessel, RCA",),
}

FRENCH_PLACES: Final[Words] = {
    "prox_rca": ("de la coronaire droite proximale", "de la CD proximale"),
    "mid_rca": ("de la coronaire droite moyenne", "de la CD moyenne"),
    "dist_rca": ("de la coronaire droite distale", "de la CD distale"),
    "pda": ("de l'interventriculaire postérieure", "de l'IVP"),
    "posterolateral": ("de la rétroventriculaire postérieure",),
    "left_main": ("du tronc commun", "du tronc commun gauche"),
    "prox_lad": ("de l'IVA proximale", "de l'interventriculaire antérieure proximale"),
    "mid_lad": ("de l'IVA moyenne", "de l'interventriculaire antérieure moyenne"),
    "dist_lad": ("de l'IVA distale", "de l'interventriculaire antérieure distale"),
    "D1": ("de la première diagonale",),
    "D2": ("de la deuxième diagonale",),
    "prox_lcx": ("de la circonflexe proximale",),
    "mid_lcx": ("de la circonflexe moyenne",),
    "dist_lcx": ("de la circonflexe distale",),
    "om1": ("de la première marginale",),
    "om2": ("de la deuxième marginale",),
    "bx": ("de la bissectrice",),
    "lad": ("de l'IVA", "de l'interventriculaire antérieure"),
    "lcx": ("de la circonflexe",),
    "rca": ("de la coronaire droite", "de la CD"),
    "left": ("de la coronaire gauche",),
}
"""With the preposition, for the templates of `FRENCH_FORMS`."""
