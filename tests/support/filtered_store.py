"""A store with a random history, and beside it what it should hold, kept in dictionaries."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from angioatlas.atlas import Atlas
from angioatlas.study_view import LVEF_WINDOW_DAYS
from core.schema import Level, View
from core.segments import FINDINGS, HEADS, head_name
from core.settings import Settings
from store.batch import CommitBatch, StudyFacts, StudyFindings, StudyVectors, VideoVectors
from store.maintain import hide_patient
from store.snapshot import Snapshot
from tests.support.cines import make_cine
from tests.support.predicates import Values
from tests.support.store_cases import hash_of, new_store, vectors

PATIENTS = [f"P{i}" for i in range(9)]
STUDIES = [f"{patient}.{each}" for patient in PATIENTS for each in "abc"]
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=30 * each) for each in range(8)]
POOL = vectors(*[f"filtered {i}" for i in range(7)])
"""Few vectors, so that equal scores are frequent."""
SEGMENTS = ("prox_lad", "mid_rca")
"""Whose findings predicates name."""
LOGITS = [-2.5, -0.5, 0.25, 1.75]
PERCENTS = [0, 40, 60, 95]
ABOUT = ("patient_id", "patient_known", "patient_sex", "patient_age_years", "study_date")
STUDY_VALUES: Values = {
    "patient_id": PATIENTS,
    "patient_known": [True, False],
    "study_date": DAYS,
    "patient_age_years": [40, 52.5, 61, 61.5, 78],
    "patient_sex": ["F", "M", "O"],
    "site": ["A", "B", "it's", "ü"],
    "n_videos": [1, 2, 3],
    "n_views": [1, 2, 3],
    "exam_number": [1, 2, 3],
    "n_exams": [1, 2, 3],
    "lvef_percent": [25, 35.5, 40, 55],
    "study_uid": STUDIES,
}
FINDING_VALUES: Values = {
    **{f"{segment}_stenosis_percent": [0, 50, 70, 99] for segment in SEGMENTS},
    **{f"{segment}_cto": [0.1, 0.25, 0.5, 0.75] for segment in SEGMENTS},
}
VIDEO_VALUES: Values = {
    "sop_uid": [f"{study}/{i}" for study in STUDIES[:4] for i in range(4)],
    "view": [view.value for view in View][:4],
    "primary_angle_deg": [-30, 0, 12.5, 45],
    "n_frames": [30, 60, 90],
    "rows": [512, 1024],
    "columns": [512, 1024],
    "series_time": ["080000.000000", "120000.000000"],
}


@dataclass
class Truth:
    """What a store should show.

    Attributes
    ----------
    studies : dict
        By study_uid: the facts of its predicates, `hash`, `videos` (facts by sop_uid) and `vector`.
    findings : dict
        By study_uid: what the newest findings were made from, and what they say.
    measured : dict
        Ejection fractions by id: patient, date, percent.
    deleted : set of str
    """

    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: dict[str, tuple[str, dict[str, float | None]]] = field(default_factory=dict)
    measured: dict[str, tuple[str, dt.date, float]] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def rows(self, level: Level) -> dict[str, dict[str, Any]]:
        """Return what a predicate may speak of, by uid in byte order."""
        studies = {uid: self._study(uid) for uid in sorted(self.studies)}
        if level is Level.STUDY:
            return studies
        found = {
            sop: studies[uid] | facts
            for uid, study in self.studies.items()
            for sop, facts in study["videos"].items()
        }
        return dict(sorted(found.items()))

    def values(self, level: Level) -> Values:
        """Return the columns that there are now, with values worth comparing them with."""
        found = dict(STUDY_VALUES)
        if any(self._seen_findings(uid) for uid in self.studies):
            found.update(FINDING_VALUES)
        if level is Level.VIDEO:
            found.update(VIDEO_VALUES)
        return found

    def forget(self, patient: str) -> None:
        """Forget a patient who was deleted."""
        self.deleted.add(patient)
        for uid in [uid for uid in self.studies if uid.partition(".")[0] == patient]:
            del self.studies[uid]
        self.measured = {name: each for name, each in self.measured.items() if each[0] != patient}

    def tidy(self) -> None:
        """Forget findings that nobody sees: they do not outlive a compaction or a purge."""
        self.findings = {
            uid: each
            for uid, each in self.findings.items()
            if uid in self.studies and self._seen_findings(uid)
        }

    def _study(self, uid: str) -> dict[str, Any]:
        study = self.studies[uid]
        of_patient = sorted(
            (other["study_date"] or dt.date.max, name)
            for name, other in self.studies.items()
            if other["patient_id"] == study["patient_id"]
        )
        names = [name for _, name in of_patient]
        return {
            **{name: study.get(name) for name in STUDY_VALUES},
            "study_uid": uid,
            "n_videos": len(study["videos"]),
            "n_views": len({video["view"] for video in study["videos"].values()}),
            "exam_number": names.index(uid) + 1,
            "n_exams": len(names),
            "lvef_percent": self._nearest(study),
            **(self._seen_findings(uid) or dict.fromkeys(FINDING_VALUES)),
        }

    def _nearest(self, study: dict[str, Any]) -> float | None:
        if study["study_date"] is None:
            return None
        near = [
            (abs((date - study["study_date"]).days), date, name, percent)
            for name, (patient, date, percent) in self.measured.items()
            if patient == study["patient_id"]
        ]
        return min((each for each in near if each[0] <= LVEF_WINDOW_DAYS), default=[None])[-1]

    def _seen_findings(self, uid: str) -> dict[str, float | None] | None:
        made_from, said = self.findings.get(uid, (None, None))
        return said if made_from == self.studies[uid]["hash"] else None


class HeldAtlas(Atlas):
    """An Atlas that may ask several things of one snapshot, as a server does."""

    _held: Snapshot | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer from one snapshot meanwhile."""
        with super().snapshot() as self._held:
            yield
        self._held = None

    def snapshot(self) -> Snapshot:
        """Open the newest version, or lend the one that is held."""
        held = self._held
        return super().snapshot() if held is None else cast(Snapshot, nullcontext(held))


class History:
    """A store that things happen to at random, and its truth.

    Parameters
    ----------
    folder : Path
        Empty.
    seed : int
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.truth = Truth()
        self._folder = folder
        self._store = new_store(folder / "store")
        self.atlas = HeldAtlas(self._store, Settings(state_dir=folder / "state"))
        self._steps = {
            self.embed: 0.4,
            self.measure: 0.25,
            self.delete: 0.1,
            self.index: 0.15,
            self.compact: 0.1,
        }

    def step(self) -> None:
        """Let one thing happen."""
        steps, shares = list(self._steps), list(self._steps.values())
        steps[self.rng.choice(len(steps), p=shares)]()

    def embed(self) -> None:
        """Embed some studies, new ones or again with other videos; some lose all they have."""
        living = [uid for uid in STUDIES if uid.partition(".")[0] not in self.truth.deleted]
        uids = self._some(living, int(self.rng.integers(3, 9)))
        facts = {uid: self._facts(uid) for uid in uids}
        kept = {uid: study for uid, study in facts.items() if study["videos"]}
        batch = _batch(facts, self._findings(kept))
        with self._store.writer("run") as writer:
            writer.commit(batch)
        for uid in uids:
            self.truth.studies.pop(uid, None)
        self.truth.studies |= kept
        self.truth.vectors |= {
            name: vector
            for part in (batch.study_vectors, batch.video_vectors)
            if part is not None
            for name, vector in zip(_uids(part), part.embedding, strict=True)
        }
        if batch.findings is not None:
            said = _said(batch.findings)
            self.truth.findings |= {uid: (kept[uid]["hash"], said[uid]) for uid in kept}

    def measure(self) -> None:
        """Import ejection fractions: more, others under the same id, or in place of all."""
        ids = self._some([f"m{i}" for i in range(60)], int(self.rng.integers(5, 50)))
        rows = {
            name: (
                str(self.rng.choice(PATIENTS[:6])),
                DAYS[self.rng.integers(len(DAYS))]
                + dt.timedelta(int(self.rng.choice([-15, 0, 15]))),
                float(self.rng.choice([20, 35.5, 40, 47.5, 60])),
            )
            for name in ids
        }
        path = self._folder / "measurements.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "patient_id", "date", "name", "value"])
            writer.writerows(
                [name, who, day, "lvef_percent", x] for name, (who, day, x) in rows.items()
            )
        whole = bool(self.rng.random() < 0.4)
        self.atlas.import_labels([path], replace=whole)
        seen = {name: each for name, each in rows.items() if each[0] not in self.truth.deleted}
        self.truth.measured = seen if whole else self.truth.measured | seen

    def delete(self) -> None:
        """Hide or purge a patient, as long as some are left."""
        seen = sorted({study["patient_id"] for study in self.truth.studies.values()})
        if len(seen) < 4:
            return
        patient = str(self.rng.choice(seen))
        if self.rng.random() < 0.5:
            hide_patient(self._store, patient)
        else:
            self.atlas.purge_patient(patient)
            self.truth.tidy()
        self.truth.forget(patient)

    def index(self) -> None:
        """Build an index anew."""
        if self.truth.studies:
            self.atlas.build_index(Level(self.rng.choice(list(Level))))

    def compact(self) -> None:
        """Compact the store."""
        self.atlas.compact()
        self.truth.tidy()

    def _some(self, of: list[str], n: int) -> list[str]:
        return [str(each) for each in self.rng.choice(of, min(n, len(of)), replace=False)]

    def _or_none(self, values: Any) -> Any:
        return None if self.rng.random() < 0.2 else values[int(self.rng.integers(len(values)))]

    def _facts(self, uid: str) -> dict[str, Any]:
        n = int(self.rng.integers(0, 4)) if self.rng.random() < 0.8 else 1
        sops = sorted(f"{uid}/{i}" for i in self.rng.choice(5, n, replace=False))
        study = {
            name: self._or_none(STUDY_VALUES[name])
            for name in ("study_date", "patient_age_years", "patient_sex", "site")
        }
        study |= {
            "patient_id": uid.partition(".")[0],
            "patient_known": bool(self.rng.random() < 0.7),
            "hash": hash_of(sops),
        }
        videos = {sop: self._video(sop) for sop in sops}
        return study | {"videos": videos, "vectors": self.rng.integers(len(POOL), size=n + 1)}

    def _video(self, sop: str) -> dict[str, Any]:
        always = {"view", "n_frames", "rows", "columns"}
        facts = {
            name: values[int(self.rng.integers(len(values)))]
            if name in always
            else self._or_none(values)
            for name, values in VIDEO_VALUES.items()
        }
        return facts | {"sop_uid": sop}

    def _findings(self, studies: dict[str, dict[str, Any]]) -> StudyFindings | None:
        if not studies or self.rng.random() < 0.4:
            return None
        raw = np.zeros((len(studies), len(HEADS)), np.float32)
        for at in range(len(HEADS)):
            choices = LOGITS if FINDINGS[at % len(FINDINGS)].is_probability else PERCENTS
            raw[:, at] = self.rng.choice(choices, len(studies))
        hashes = [study["hash"] for study in studies.values()]
        return StudyFindings("heads-1", list(studies), hashes, raw, raw[:, :4])


def _batch(facts: dict[str, dict[str, Any]], findings: StudyFindings | None) -> CommitBatch:
    cines = []
    for uid, study in facts.items():
        about = {name: study[name] for name in ABOUT}
        for sop, video in study["videos"].items():
            cines.append(make_cine(sop, uid, **about, **(video | {"view": View(video["view"])})))
    told = [
        StudyFacts(
            uid,
            site=study["site"],
            n_videos=len(study["videos"]),
            input_hash=study["hash"],
            **{name: study[name] for name in ABOUT},
        )
        for uid, study in facts.items()
    ]
    kept = {uid: study for uid, study in facts.items() if study["videos"]}
    if not kept:
        return CommitBatch(cines=cines, studies=told)
    embedded = POOL[[at for study in kept.values() for at in study["vectors"][1:]]]
    return CommitBatch(
        cines=cines,
        studies=told,
        encoder_id="enc-a",
        video_vectors=VideoVectors(
            [cine.sop_uid for cine in cines], [cine.study_uid for cine in cines], embedded, embedded
        ),
        study_vectors=StudyVectors(
            list(kept),
            [study["hash"] for study in kept.values()],
            POOL[[study["vectors"][0] for study in kept.values()]],
        ),
        findings=findings,
    )


def _uids(part: VideoVectors | StudyVectors) -> list[str]:
    return list(part.sop_uids if isinstance(part, VideoVectors) else part.study_uids)


def _said(findings: StudyFindings) -> dict[str, dict[str, float | None]]:
    told = {}
    for uid, raw in zip(findings.study_uids, findings.raw, strict=True):
        row = dict(zip(HEADS, raw.tolist(), strict=True))
        told[uid] = {
            f"{segment}_{finding.column}": (
                1 / (1 + math.exp(-row[head_name(segment, finding)]))
                if finding.is_probability
                else row[head_name(segment, finding)]
            )
            for segment in SEGMENTS
            for finding in FINDINGS
        }
    return told
