"""What each column of an exported table means; exports carry these as comments."""

from __future__ import annotations

from typing import Final

from core.labels import LABELS
from core.segments import FINDINGS

_UID = "surrogate UID under 2.25 unless identifiers are kept"

_STUDIES: Final = {
    "study_uid": f"StudyInstanceUID; {_UID}",
    "patient_id": "Pseudonym of the PatientID, or the id itself if identifiers are kept",
    "patient_known": "False if PatientID was missing or a placeholder: the study stands alone",
    "study_date": "StudyDate; shifted by one constant per patient if the store shifts dates",
    "patient_age_years": "Age at the study in years, from PatientAge or the birth date",
    "patient_sex": "PatientSex: M, F or O",
    "site": "Site name given when the study was embedded",
    "n_videos": "Cines of the study that are embedded",
}

COMMENTS: Final[dict[str, dict[str, str]]] = {
    "studies": _STUDIES,
    "videos": {
        "sop_uid": f"SOPInstanceUID; {_UID}",
        "study_uid": f"StudyInstanceUID; {_UID}",
        "series_uid": f"SeriesInstanceUID; {_UID}",
        "patient_id": "As in studies",
        "view": "One of twelve projections, from the C-arm angles",
        "transfer_syntax_uid": "Transfer syntax of the file",
        "source_uri": "Where the file was when it was embedded; may name the patient",
        "acquisition_datetime": "Acquisition (or content) date and time, local, no time zone",
        "series_time": "SeriesTime as HHMMSS.ffffff",
        "instance_number": "InstanceNumber",
        "primary_angle_deg": "PositionerPrimaryAngle in degrees, positive toward LAO",
        "secondary_angle_deg": "PositionerSecondaryAngle in degrees, positive toward cranial",
        "n_frames": "NumberOfFrames",
        "frame_time_ms": "Time between frames in milliseconds",
        "rows": "Rows of a frame, in pixels",
        "columns": "Columns of a frame, in pixels",
    },
    "findings": {
        "study_uid": "As in studies",
        "heads_id": "Which set of finding heads says so",
        "segment": "Short name of the coronary segment",
        "segment_name": "The segment in words",
        **{each.column: f"Model output: {each.meaning}" for each in FINDINGS},
        **{
            f"{each.column}_logit": f"The logit that {each.column} is the logistic function of"
            for each in FINDINGS
            if each.is_probability
        },
    },
    "cohorts": {
        "cohort": "Name of a saved cohort",
        "cohort_id": "Hash of its definition, version and members",
        "store_version": "The version that it was chosen from",
        "study_uid": "An index exam; as in studies",
        "patient_id": "As in studies",
    },
    "projections": {
        "projection": "Name of a saved map",
        "projection_id": "Hash of what is drawn and how",
        "method": "umap or pca",
        "level": "What a dot is: study or video",
        "store_version": "The version that it was drawn from",
        "uid": "StudyInstanceUID or SOPInstanceUID, by level; as in studies and videos",
        "patient_id": "As in studies",
        "x": "Where the dot lies; without unit",
        "y": "Where the dot lies; without unit",
    },
    "progression": {
        "patient_id": "As in studies",
        "number": "Number of the exam by date, from 2",
        "prior_uid": "The exam before; as study_uid in studies",
        "study_uid": "The exam; as in studies",
        "prior_date": "Date of the exam before",
        "date": "Date of the exam",
        "days": "Days between the two exams",
        "treatment": "Procedures in between, such as pci; empty: natural course",
        "treated_segments": "Short names of the segments treated in between",
        "events": "Number of events in between",
        "change": "1 - cosine of the two embeddings",
        "score": "change / threshold; above 1 is beyond what unchanged arteries differ by",
        "p": "Share of unchanged pairs that differ by as much",
        "beyond": "Whether score is above 1",
        "unchanged": "Whether dates and labels say that nothing changed: the noise floor's pairs",
        "toward_disease": "Difference along the direction toward disease, in standard deviations "
        "of unchanged pairs; up is worse; empty where nothing tells the direction",
        "known_segments": "Segments with a stenosis at both exams, not treated in between",
        "new_disease": "Those that crossed 50 %",
        "worsened": "Those whose stenosis grew by more than 20 points",
        "max_increase": "Largest change of their stenoses, points",
        "net_change": "Sum of the changes of their stenoses, points; up is worse",
        "absolute_change": "Sum of the sizes of the changes of their stenoses, points",
        "treated_change": "Sum of the changes of stenoses of treated segments, points",
        "progressed": "Whether there is new or worse disease in segments not treated in between",
        "floor": "What the noise floor is made of: unchanged pairs, or split halves",
        "threshold": "The change that one more unchanged pair stays below with 95 % probability",
    },
    "labels": {
        "label": "Which table it is from: event, follow_up, measurement, procedure or covariate",
        "patient_id": "As in studies",
        "study_uid": "As in studies; empty: of no one study",
        "date": "When; of a follow-up when last heard of; empty: always",
        "name": "Kind, status, or name of what was measured or is said",
        "value": "The number, where there is one",
        "text": "Source of an event, unit, segments treated, or value of a covariate",
    },
    "exams": {
        **_STUDIES,
        "n_views": "Number of distinct projections",
        "lvef_percent": "Measured ejection fraction nearest to the study, at most 90 days off",
        "exam_number": "Number of the exam of the patient by date, from 1",
        "n_exams": "Exams of the patient",
    },
    "timeline": {
        "patient_id": "As in studies",
        "date": "When",
        "kind": "event, exam, change, measurement or procedure",
        "what": "What happened, was measured or done",
        "value": "Of a measurement; of a change its score",
        "study_uid": "As in studies; empty: of no one study",
    },
    **{
        kind.value: {column.name: column.meaning for column in table.columns}
        for kind, table in LABELS.items()
    },
}
"""By table and column; `commit_id` and `input_hash` stay inside the store."""
