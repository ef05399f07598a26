"""Invented people: sex, age, body and risk factors."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from phantom.heart.lesions import MAX_AGE, MIDDLE_AGE, MIN_AGE

Sex = Literal["M", "F"]

DAYS_PER_YEAR: Final = 365.25
FIRST_EXAMS: Final = (dt.date(2006, 1, 1), dt.date(2016, 12, 31))
"""First exams are evenly spread between these days."""

_ATHEROMA = {
    **{"diabetes": 0.55, "smoking": 0.4, "hyperlipidaemia": 0.3, "hypertension": 0.2},
    **{"ckd": 0.3, "male": 0.35},
}
"""Log odds of coronary disease that each factor adds; invented, in the direction of the books."""


@dataclass(frozen=True)
class RiskFactors:
    """What is known of a person apart from the heart, at the first exam.

    Attributes
    ----------
    diabetes, hypertension, hyperlipidaemia, smoking, ckd : bool
        `smoking` is present smoking, `ckd` chronic kidney disease.
    bmi_kg_m2, height_m : float
    ldl_mg_dl : float
    """

    diabetes: bool
    hypertension: bool
    hyperlipidaemia: bool
    smoking: bool
    ckd: bool
    bmi_kg_m2: float
    height_m: float
    ldl_mg_dl: float

    @property
    def weight_kg(self) -> float:
        """Body weight."""
        return self.bmi_kg_m2 * self.height_m**2


@dataclass(frozen=True)
class Person:
    """An invented person.

    Attributes
    ----------
    sex : {"M", "F"}
    birth_date, first_exam_date : date
    risk : RiskFactors
    """

    sex: Sex
    birth_date: dt.date
    first_exam_date: dt.date
    risk: RiskFactors

    @property
    def atheroma(self) -> float:
        """The tendency to coronary disease that the risk factors make up, about 0 on average."""
        risk = self.risk
        has = {**vars(risk), "male": self.sex == "M"}
        return sum(weight for name, weight in _ATHEROMA.items() if has[name]) - 0.85

    @property
    def pace(self) -> float:
        """How fast lesions grow, 1 on average."""
        high_ldl = (self.risk.ldl_mg_dl - 115) / 100
        return float(np.clip(np.exp(0.5 * self.atheroma + 0.4 * high_ldl), 0.4, 3))

    def age_years(self, date: dt.date) -> float:
        """Return the age on a day."""
        return (date - self.birth_date).days / DAYS_PER_YEAR


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a person who is 40 to 88 years old at the first exam."""
    sex: Sex = "M" if rng.random() < 0.68 else "F"
    typical = MIDDLE_AGE + (-1.5 if sex == "M" else 3.0)
    age = float(np.clip(rng.normal(typical, 10.5), MIN_AGE + 0.1, MAX_AGE - 0.1))
    first, last = FIRST_EXAMS
    date = first + dt.timedelta(days=int(rng.integers((last - first).days + 1)))
    birth = date - dt.timedelta(days=round(age * DAYS_PER_YEAR))
    return Person(sex, birth, date, _draw_risk(rng, sex, age))


def _draw_risk(rng: np.random.Generator, sex: Sex, age: float) -> RiskFactors:
    older = (age - MIDDLE_AGE) / 10
    bmi = float(np.clip(rng.normal(27.8, 4.3), 17, 48))
    hyperlipidaemia = bool(rng.random() < 0.58)
    height = rng.normal(1.76 if sex == "M" else 1.63, 0.07)
    return RiskFactors(
        diabetes=bool(rng.random() < np.clip(0.27 + 0.02 * (bmi - 27.8), 0.05, 0.7)),
        hypertension=bool(rng.random() < np.clip(0.62 + 0.07 * older, 0.2, 0.9)),
        hyperlipidaemia=hyperlipidaemia,
        smoking=bool(rng.random() < np.clip(0.25 - 0.07 * older, 0.05, 0.5)),
        ckd=bool(rng.random() < np.clip(0.12 + 0.06 * older, 0.02, 0.4)),
        bmi_kg_m2=round(bmi, 1),
        height_m=round(float(np.clip(height, 1.45, 2.0)), 2),
        ldl_mg_dl=round(float(np.clip(rng.normal(130 if hyperlipidaemia else 98, 28), 40, 260))),
    )
