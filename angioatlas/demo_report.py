"""What the demo found, and how that is held against the truth."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from angioatlas.demo_settings import DemoPlaces
from angioatlas.demo_studies import DemoLvef, DemoMap, DemoProgression
from angioatlas.demo_survival import DemoSurvival
from core.provenance import RESEARCH_USE
from phantom.files.cohort_settings import INVENTED
from phantom.files.truth_tables import StudyTruth, in_words
from phantom.words.concepts import EVALUATION_QUERIES, SIGNIFICANT_PERCENT, holds


@dataclass(frozen=True)
class DemoHit:
    """One ranked study beside its truth.

    Attributes
    ----------
    rank : int
    score : float
        Cosine similarity.
    study_uid, patient_id : str
    right : bool
        Whether what was asked for is true of the study.
    truth : str
        Its true findings in words.
    """

    rank: int
    score: float
    study_uid: str
    patient_id: str
    right: bool
    truth: str


@dataclass(frozen=True)
class DemoAnswer:
    """One question and its best hits.

    Attributes
    ----------
    text : str
        What has to be true of a hit: a query of the retrieval evaluation, or what it has to have in
        common with the case.
    case : str or None
        The UID of the study whose like was looked for; None when the text was.
    studies, positives : int
        How many studies could be found, and of how many of them it is true: the base rate.
    hits : tuple of DemoHit
    """

    text: str
    case: str | None
    studies: int
    positives: int
    hits: tuple[DemoHit, ...]

    @property
    def right(self) -> int:
        """How many hits are right."""
        return sum(hit.right for hit in self.hits)


@dataclass(frozen=True)
class DemoServed:
    """What a server of the demo answered.

    Attributes
    ----------
    command : str
        The call, for bash and zsh, to a server that `make serve` started.
    seconds : float
        From sending the exam to the answer.
    answer : DemoAnswer
    """

    command: str
    seconds: float
    answer: DemoAnswer


@dataclass
class DemoReport:
    """What the demo did and found.

    Attributes
    ----------
    folder : Path
    patients, studies, videos : int
        That are in the store.
    left_out : int
        Runs that the rules for diagnostic runs left out of it.
    encoder_id : str
    seconds : dict of str to float
        What each step took.
    answers : list of DemoAnswer
        Three texts, and one study whose like is looked for.
    survival : DemoSurvival or None
        None where there are too few events.
    lvef : DemoLvef or None
    progression : DemoProgression or None
    map : DemoMap or None
        None where there are too few exams.
    served : DemoServed or None
        None where it was not served.
    """

    folder: Path
    patients: int = 0
    studies: int = 0
    videos: int = 0
    left_out: int = 0
    encoder_id: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    answers: list[DemoAnswer] = field(default_factory=list)
    survival: DemoSurvival | None = None
    lvef: DemoLvef | None = None
    progression: DemoProgression | None = None
    map: DemoMap | None = None
    served: DemoServed | None = None

    @property
    def places(self) -> DemoPlaces:
        """Where things are."""
        return DemoPlaces(self.folder)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        about = {
            "store": self.places.store,
            "picture": self.places.picture,
            "next": self.next_commands(),
            "notice": f"{INVENTED} {RESEARCH_USE}",
        }
        return asdict(self) | about

    def next_commands(self) -> list[str]:
        """Return commands to go on with, for the demo's folder."""
        store = shlex.quote(str(self.places.store))
        found = [hit.study_uid for answer in self.answers for hit in answer.hits]
        study = found[0] if found else "STUDY"
        return [
            f'angioatlas search "left main stenosis" --store {store}',
            f"angioatlas similar {study} --store {store}",
            f"angioatlas findings {study} --store {store}",
            f"angioatlas labels show events --store {store}",
            f"angioatlas survival mace --model components --report mace.html --store {store}",
            f"angioatlas lvef --report lvef.html --store {store}",
            f"angioatlas progression --report progression.html --store {store}",
            f"angioatlas map show demo --report map.html --store {store}",
            f"angioatlas dashboard --store {store}",
            f"angioatlas export demo.duckdb --store {store}",
            f"angioatlas serve --insecure-local --store {store}",
        ]


def held_against(
    truth: Mapping[str, StudyTruth],
    hits: pd.DataFrame,
    *,
    text: str = "",
    case: StudyTruth | None = None,
) -> DemoAnswer:
    """Hold ranked studies against the truth.

    Parameters
    ----------
    truth : mapping
        Of the studies that could be found, by study UID.
    hits : DataFrame
        Columns rank, score, study_uid; best first.
    text : str
        A query of the retrieval evaluation, which has to be true of a hit.
    case : StudyTruth, optional
        A study, in place of a text: a hit is right when a segment is severely narrowed or occluded
        in both.
    """
    if case is None:
        concept = EVALUATION_QUERIES[text]
        right = {uid: bool(holds(concept, of, of.disease)) for uid, of in truth.items()}
    else:
        right = {uid: bool(tight(of) & tight(case)) for uid, of in truth.items()}
        text = f"{SIGNIFICANT_PERCENT:.0f} % or more in a segment of the case ({in_words(case)})"
    ranked = tuple(
        DemoHit(
            int(row["rank"]),
            float(row["score"]),
            row["study_uid"],
            truth[row["study_uid"]].patient_id,
            right[row["study_uid"]],
            in_words(truth[row["study_uid"]]),
        )
        for row in hits.to_dict("records")
    )
    uid = None if case is None else case.study_uid
    return DemoAnswer(text, uid, len(truth), sum(right.values()), ranked)


def tight(of: StudyTruth) -> frozenset[str]:
    """Return the segments with a stenosis of 70 % or more, occlusions included."""
    states = of.disease.segments.items()
    return frozenset(name for name, s in states if s.stenosis_percent >= SIGNIFICANT_PERCENT)
