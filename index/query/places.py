"""Where in the coronary tree: segments, vessels, their numbers, and what clinicians call them.

Numbers are those of the SYNTAX score (Sianos et al., EuroIntervention 2005), which follow the
American Heart Association's and the ARTS study's.  All words stand without accents and hyphens, in
lower case, a name and the figure behind it apart ("om 1").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.segments import SEGMENTS, VESSELS

SYNTAX: Final[dict[str, str]] = {
    **{"1": "prox_rca", "2": "mid_rca", "3": "dist_rca", "4": "pda", "5": "left_main"},
    **{"6": "prox_lad", "7": "mid_lad", "8": "dist_lad", "9": "D1", "10": "D2"},
    **{"11": "prox_lcx", "12": "bx", "12a": "om1", "12b": "om2", "13": "dist_lcx"},
    **{"14": "lvp", "15": "pda", "16": "posterolateral", "9a": "D1", "10a": "D2"},
    **dict.fromkeys(("14a", "14b"), "lvp"),
    **dict.fromkeys(("16a", "16b", "16c"), "posterolateral"),
}
"""Segment by number.  15 is the posterior descending artery of a left-dominant heart, for which
there is one name whichever side it comes from; lettered branches count as the branch they are of.
The mid circumflex has no number of its own."""
SYNTAX_OF: Final[dict[str, str]] = {segment: n for n, segment in reversed(SYNTAX.items())}
"""Number by segment, the first of `SYNTAX`; `mid_lcx` has none."""

LEVELS: Final[dict[str, str]] = {
    "proximal": "proximal; proximale; proximally; prox; ostial; ostiale; ostium; origin; origine",
    "mid": "mid; middle; moyen; moyenne; median; mediane; medial; midportion",
    "distal": "distal; distale; distally; dist; apical; apicale; apex",
}
_BY_LEVEL: Final[dict[str, dict[str, str]]] = {
    "LAD": {"proximal": "prox_lad", "mid": "mid_lad", "distal": "dist_lad"},
    "LCX": {"proximal": "prox_lcx", "mid": "mid_lcx", "distal": "dist_lcx"},
    "RCA": {"proximal": "prox_rca", "mid": "mid_rca", "distal": "dist_rca"},
}
_LEFT: Final = ("left_main", *VESSELS["LAD"], *VESSELS["LCX"])
_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    **{vessel: tuple(levels.values()) for vessel, levels in _BY_LEVEL.items()},
    "diagonal": ("D1", "D2"),
    "marginal": ("om1", "om2"),
    "left coronary": _LEFT,
}
"""Names of several segments.  A vessel is its main trunk where something is found in it."""
_WITH_BRANCHES: Final = {**VESSELS, "left coronary": _LEFT}

NAMES: Final[dict[str, str]] = {
    "LAD": "lad; left anterior descending; anterior descending; iva; interventriculaire anterieure"
    "; anterior interventricular; lad artery",
    "LCX": "lcx; cx; circumflex; left circumflex; circ; circonflexe; lcirc; clx; circumflexus",
    "RCA": "rca; right coronary artery; right coronary; coronaire droite; cd; artere coronaire"
    " droite; right system; right coronary tree; right coronary system"
    "; right coronary circulation",
    "left coronary": "left coronary; left coronary artery; left coronary system; left coronary tree"
    "; left system; lca; coronaire gauche; left coronary circulation",
    "diagonal": "diagonal; diagonals; diag; diagonale; diagonales; diagonal branch"
    "; diagonal branches",
    "marginal": "marginal; marginals; obtuse marginal; obtuse marginals; om; oms; marginale"
    "; marginales; marginale gauche; marginal branch; obtuse marginal branch",
    "left_main": "left main; lm; lmca; lms; lmt; main stem; left main stem; left main trunk"
    "; left main coronary; left main coronary artery; tronc commun; tc; tcg; tronc commun gauche"
    "; tronc commun coronaire gauche; left mainstem; unprotected left main",
    "pda": "pda; rpda; r pda; right pda; posterior descending; posterior descending artery; ivp"
    "; posterior interventricular; interventriculaire posterieure; left pda; lpda; l pda"
    "; posterior descending branch; right posterior descending",
    "posterolateral": "plb; rpl; rplb; plv; rplv; right plv; right pl; right posterolateral"
    "; posterolateral branch of the rca; posterolateral branch; posterolateral; retroventriculaire"
    "; retroventriculaire posterieure; rvp; right posterolateral branch; posterolateral rca"
    "; posterolateral from rca; retro ventriculaire; rca posterolateral",
    "lvp": "lpl; left pl; left plv; left posterolateral; left posterolateral branch; lvp"
    "; posterolateral branch of the circumflex; posterolateral of the circumflex"
    "; circumflex posterolateral; lplb; posterolaterale gauche",
    "bx": "ramus; ri; ramus intermedius; intermediate branch; intermediate artery; bissectrice"
    "; bisector; rim; ramus branch; intermedius; ramus intermediate; artere intermediaire"
    "; intermediate ramus",
    **{f"D{n}": f"d {n}; dx {n}; diag {n}; diagonal {n}; {en} diagonal; {n}{th} diagonal"
       f"; diagonale {n}; {fr} diagonale; {en} diagonal branch; lad {en} diagonal"
       f"; {n}{th} diagonal branch; diagonal {roman}; {n} e diagonale; {n} ere diagonale"
       for n, en, th, fr, roman in ((1, "first", "st", "premiere", "i"),
                                    (2, "second", "nd", "deuxieme", "ii"))},
    **{f"om{n}": f"om {n}; m {n}; mo {n}; mg {n}; marginal {n}; obtuse marginal {n}; {en} marginal"
       f"; {en} obtuse marginal; {n}{th} marginal; {n}{th} obtuse marginal; {n}{th} om; {en} om"
       f"; marginale {n}; {fr} marginale; {en} obtuse marginal branch; {en} marginal branch"
       f"; {n} e marginale; {n} ere marginale"
       for n, en, th, fr in ((1, "first", "st", "premiere"), (2, "second", "nd", "deuxieme"))},
    **{segment: f"{letter}{vessel}"
       for vessel, levels in (("lad", _BY_LEVEL["LAD"]), ("rca", _BY_LEVEL["RCA"]))
       for letter, segment in zip("pmd", levels.values(), strict=True)},
    **{segment: f"{letter}lcx; {letter}cx; {letter}circ"
       for letter, segment in zip("pmd", _BY_LEVEL["LCX"].values(), strict=True)},
}  # fmt: skip
"""What vessels and segments are called."""

_BIFURCATIONS: Final[dict[frozenset[str], tuple[str, ...]]] = {
    frozenset({"LAD", "D1"}): ("prox_lad", "D1"),
    frozenset({"LAD", "D2"}): ("mid_lad", "D2"),
    frozenset({"LAD", "diagonal"}): ("prox_lad", "D1"),
    frozenset({"LAD", "LCX"}): ("left_main", "prox_lad", "prox_lcx"),
    frozenset({"left_main", "LAD", "LCX"}): ("left_main", "prox_lad", "prox_lcx"),
    frozenset({"LCX", "om1"}): ("prox_lcx", "om1"),
    frozenset({"LCX", "om2"}): ("mid_lcx", "om2"),
    frozenset({"LCX", "marginal"}): ("prox_lcx", "om1"),
    frozenset({"RCA", "pda"}): ("dist_rca", "pda"),
    frozenset({"pda", "posterolateral"}): ("dist_rca", "pda", "posterolateral"),
    frozenset({"RCA", "pda", "posterolateral"}): ("dist_rca", "pda", "posterolateral"),
}


@dataclass(frozen=True)
class Place:
    """Somewhere in the coronary tree.

    Attributes
    ----------
    name : str
        As a sentence says it.
    segments : tuple of str
        Short names of `core.segments`, in anatomical order.
    is_vessel : bool
        The name is that of a vessel or a group of branches, no segment of it being named.
    parts : tuple of Place
        Where several places are named as one.
    """

    name: str
    segments: tuple[str, ...]
    is_vessel: bool = False
    parts: tuple[Place, ...] = ()

    @property
    def with_branches(self) -> tuple[str, ...]:
        """The segments, and where the place is a vessel all its branches."""
        if self.parts:
            return of_segments(s for part in self.parts for s in part.with_branches).segments
        return _WITH_BRANCHES.get(self.name, self.segments) if self.is_vessel else self.segments


def place_of(key: str, levels: Iterable[str] = ()) -> Place:
    """Return a place by its key of `NAMES`, of a vessel at some levels.

    A branch has no levels here: its ostium is the branch.
    """
    of = _BY_LEVEL.get(key, {})
    chosen = [of[level] for level in levels if level in of]
    if chosen:
        return of_segments(chosen)
    return Place(key, _GROUPS[key], True) if key in _GROUPS else of_segments([key])


def vessel_of(place: Place) -> str | None:
    """Return the vessel that a place is in, if it is in one that has levels."""
    return next((v for v in _BY_LEVEL if set(place.segments) <= {*VESSELS[v]}), None)


def of_segments(segments: Iterable[str]) -> Place:
    """Return segments as one place."""
    wanted = set(segments)
    ordered = tuple(segment for segment in SEGMENTS if segment in wanted)
    return Place(" and ".join(SEGMENTS[segment] for segment in ordered), ordered)


def numbered(key: str, number: str) -> str | None:
    """Return the segment of a vessel that has this number, if it has one."""
    # In French the thirds of the two left arteries are counted as well: IVA 1, IVA 2, IVA 3.
    if key in ("LAD", "LCX") and number in ("1", "2", "3"):
        return [*_BY_LEVEL[key].values()][int(number) - 1]
    segment = SYNTAX.get(number)
    of = _WITH_BRANCHES.get(key, _GROUPS.get(key, (key,)))
    return segment if segment in of else None


def union(places: Iterable[Place]) -> Place:
    """Return several places as one."""
    each = tuple(dict.fromkeys(places))
    if len(each) == 1:
        return each[0]
    segments = {segment for place in each for segment in place.segments}
    ordered = tuple(segment for segment in SEGMENTS if segment in segments)
    is_vessel = all(place.is_vessel for place in each)
    return Place(" and ".join(place.name for place in each), ordered, is_vessel, each)


def bifurcation(place: Place) -> Place:
    """Return where a bifurcation named by its vessels is, such as LAD/D1."""
    names = frozenset(p.name if p.is_vessel else p.segments[0] for p in place.parts)
    found = _BIFURCATIONS.get(names)
    return of_segments(found) if found else place
