"""A patient's years: exams, events, interventions and time, drawn forward in one pass."""

from __future__ import annotations

import datetime as dt
import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from phantom.heart.disease import Disease, visible
from phantom.people.hazard import BURDEN_WEIGHTS, DEATHS, HAZARD, EventKind, burden
from phantom.people.person import DAYS_PER_YEAR, Person
from phantom.people.progression import destabilise, evolve, infarct, stented

if TYPE_CHECKING:
    from phantom.heart.anatomy import Anatomy

Presentation = Literal["stable", "acute"]
Status = Literal["alive", "dead", "lost"]
_Action = Literal["exam", "repeat", "cabg", "end"]

LAST_DAY: Final = dt.date(2026, 6, 30)
"""Nothing is known of anybody after this day: administrative censoring."""
MAX_EXAMS: Final = 5
LOSS_PER_YEAR: Final = 0.03
"""Rate at which patients are lost to follow-up."""

_PLANNED = (0.69, 0.20, 0.07, 0.03, 0.01)
_REPEATED = 0.33
_APART_DAYS = 14
"""A planned exam that is nearer to the last one is not made."""
_ELECTIVE, _ACUTE = 0.55, 0.85
"""Shares of exams with something to treat after which it is treated."""
_EXAM_AFTER: dict[EventKind, float] = {"mi": 0.6, "urgent_revascularisation": 0.8}
_TREATED_PERCENT = 70


@dataclass(frozen=True)
class Visit:
    """An exam before anything is filmed.

    Attributes
    ----------
    date : date
    disease : Disease
        As it is when the exam begins; what is treated is treated after it.
    presentation : {"stable", "acute"}
    """

    date: dt.date
    disease: Disease
    presentation: Presentation


@dataclass(frozen=True)
class Event:
    """A dated event: a component of MACE, or death of another cause."""

    date: dt.date
    kind: EventKind


@dataclass(frozen=True)
class Procedure:
    """A revascularisation, with the segments that it treated.

    Bypass grafts leave the native arteries as they are: no picture shows them.
    """

    date: dt.date
    kind: Literal["pci", "cabg"]
    segments: tuple[str, ...]


@dataclass(frozen=True)
class FollowUp:
    """How long a patient is known of, and how it ends."""

    last_known_date: dt.date
    status: Status


@dataclass(frozen=True)
class Course:
    """Everything dated of one patient, in the order of time."""

    visits: tuple[Visit, ...]
    events: tuple[Event, ...]
    procedures: tuple[Procedure, ...]
    follow_up: FollowUp


def draw_course(
    rng: np.random.Generator, person: Person, anatomy: Anatomy, disease: Disease
) -> Course:
    """Draw a patient's years from the first exam on.

    Exams, losses and the end of observation are planned before anything happens, so that censoring
    does not depend on events.  The hazard is the one of `phantom.people.hazard`, with burden and
    LVEF of the last exam.

    Parameters
    ----------
    rng : Generator
    person : Person
    anatomy : Anatomy
    disease : Disease
        At the first exam.
    """
    life = _Life(rng, person, anatomy, disease)
    life.remember_earlier_stents()
    status = life.plan()
    fresh = any(s.thrombus or (s.occluded and not s.cto) for s in disease.segments.values())
    life.examine("acute" if rng.random() < (0.9 if fresh else 0.08) else "stable")
    if not life.run():
        status = "dead"
    return Course(
        tuple(life.visits),
        tuple(life.events),
        tuple(life.procedures),
        FollowUp(life.now, status),
    )


@dataclass
class _Life:
    rng: np.random.Generator
    person: Person
    anatomy: Anatomy
    disease: Disease
    now: dt.date = dt.date.min
    as_of: dt.date = dt.date.min
    visits: list[Visit] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    procedures: list[Procedure] = field(default_factory=list)
    ahead: list[tuple[dt.date, int, _Action]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.as_of = self.person.first_exam_date

    def remember_earlier_stents(self) -> None:
        """Date the interventions that the stents of the first exam come from."""
        with_stent = [name for name, state in self.disease.segments.items() if state.stent]
        if with_stent:
            ago = dt.timedelta(days=int(self.rng.integers(120, 8 * 365)))
            self.procedures.append(Procedure(self.now - ago, "pci", tuple(with_stent)))

    def plan(self) -> Status:
        """Plan the exams and the end of observation; return how it ends unless death comes."""
        date = self.now
        exams = 1 + int(self.rng.choice(len(_PLANNED), p=_PLANNED))
        for _ in range(exams - 1):
            repeat = self.rng.random() < _REPEATED
            if repeat:
                days = int(self.rng.integers(14, 200))
            else:
                days = round(DAYS_PER_YEAR * 1.3 * math.exp(0.6 * self.rng.standard_normal())) + 45
            date += dt.timedelta(days=days)
            self._schedule(date, "repeat" if repeat else "exam")
        end = date + dt.timedelta(days=round(DAYS_PER_YEAR * float(self.rng.uniform(0.2, 6))))
        lost = self.now + dt.timedelta(
            days=1 + round(DAYS_PER_YEAR * float(self.rng.exponential(1 / LOSS_PER_YEAR)))
        )
        end = min(end, LAST_DAY)
        self._schedule(min(end, lost), "end")
        return "lost" if lost < end else "alive"

    def run(self) -> bool:
        """Live until the end of observation; return whether the patient does."""
        while True:
            event = self._next_event(before=self.ahead[0][0])
            if event is not None:
                self.now = event.date
                self.events.append(event)
                if event.kind in DEATHS:
                    return False
                self._suffer(event.kind)
                continue
            self.now, _, action = heapq.heappop(self.ahead)
            if action == "end":
                return True
            self._keep(action)

    def examine(self, presentation: Presentation) -> None:
        """Take the pictures of today, and treat what they show, now or in the next days."""
        self.visits.append(Visit(self.now, self.disease, presentation))
        # What is to be filmed again unchanged is left alone.
        elective = 0.0 if self.ahead[0][2] == "repeat" else _ELECTIVE
        if self.rng.random() < (_ACUTE if presentation == "acute" else elective):
            self._treat()

    def _keep(self, action: _Action) -> None:
        last = self.visits[-1]
        if action == "cabg":
            if targets := self._targets():
                self.procedures.append(Procedure(self.now, "cabg", tuple(targets)))
            return
        if len(self.visits) == MAX_EXAMS or (self.now - last.date).days < _APART_DAYS:
            return
        same = action == "repeat" and self.disease is last.disease
        if not same:
            self._age()
        self.examine("stable")

    def _suffer(self, kind: EventKind) -> None:
        if kind not in _EXAM_AFTER:
            return
        self._age()
        change = infarct if kind == "mi" else destabilise
        self.disease = change(self.rng, self.anatomy, self.disease)
        early = (self.now - self.visits[-1].date).days < 2
        if self.rng.random() < _EXAM_AFTER[kind] and len(self.visits) < MAX_EXAMS and not early:
            self.examine("acute")
        elif self.rng.random() < 0.5:  # in another hospital, without an exam here
            self._treat()

    def _age(self) -> None:
        years = (self.now - self.as_of).days / DAYS_PER_YEAR
        self.disease = evolve(
            self.rng, self.anatomy, self.disease, years=years, pace=self.person.pace
        )
        self.as_of = self.now

    def _targets(self) -> list[str]:
        """Return the segments worth treating, the most important first."""
        seen = visible(self.anatomy, self.disease)
        tight = [n for n, s in seen.segments.items() if s.stenosis_percent >= _TREATED_PERCENT]
        return sorted(tight, key=lambda name: (-BURDEN_WEIGHTS[name], name))

    def _treat(self) -> None:
        targets = self._targets()
        operable = len(targets) > 2 or "left_main" in targets
        if operable and self.rng.random() < 0.35:
            self._schedule(self.now + dt.timedelta(days=int(self.rng.integers(2, 22))), "cabg")
            return
        # Every second chronic occlusion is left alone.
        chosen = [n for n in targets if not self.disease.state(n).cto or self.rng.random() < 0.5]
        if chosen[:2]:
            self.procedures.append(Procedure(self.now, "pci", tuple(chosen[:2])))
            self.disease = stented(self.rng, self.disease, chosen[:2])

    def _next_event(self, *, before: dt.date) -> Event | None:
        last = self.visits[-1].disease
        age = self.person.age_years(self.now)
        log_hazard = HAZARD.log_hazard(
            burden=burden(last),
            lvef_percent=last.lvef_percent,
            age_years=age,
            diabetes=self.person.risk.diabetes,
        )
        mace = HAZARD.draw_mace_years(self.rng, log_hazard)
        other = HAZARD.draw_other_death_years(self.rng, age)
        days = math.ceil(min(mace, other) * DAYS_PER_YEAR)
        # A day that has a plan of its own is spent with that.
        if days >= (before - self.now).days:
            return None
        kind = HAZARD.draw_kind(self.rng, last.lvef_percent)
        date = self.now + dt.timedelta(days=days)
        return Event(date, kind if mace <= other else "death_other")

    def _schedule(self, date: dt.date, action: _Action) -> None:
        heapq.heappush(self.ahead, (date, len(self.ahead), action))
