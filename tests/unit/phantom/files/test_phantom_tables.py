"""The tables of a cohort: the columns that are read, every row of every patient, the same bytes."""

import csv
import dataclasses
import datetime as dt

import pytest

from core.labels import LABELS, LabelKind
from core.segments import SEGMENTS
from phantom import ids
from phantom.files.tables import TABLES, EventRow, table_text, write_tables
from phantom.heart.disease import visible
from phantom.people.patients import draw_patient


@pytest.fixture(scope="module")
def patients():
    return [draw_patient(9, index) for index in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, patients):
    out = tmp_path_factory.mktemp("cohort")
    write_tables(out, patients)
    return out


def read(folder, name):
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_label_tables_have_the_columns_of_the_store():
    for kind, name in TABLES.items():
        folder, _, file = name.partition("/")
        if folder == "labels":
            columns = tuple(field.name for field in dataclasses.fields(kind))
            assert columns == LABELS[LabelKind(file.removesuffix(".csv"))].names
    assert {f"labels/{kind}.csv" for kind in LabelKind} <= set(TABLES.values())


def test_label_values_are_of_the_kinds_that_the_store_knows(folder):
    for kind in LabelKind:
        rows = read(folder, f"labels/{kind}.csv")
        assert rows
        for column in LABELS[kind].columns:
            values = {row[column.name] for row in rows}
            if column.required:
                assert "" not in values
            if column.allowed:
                assert values <= set(column.allowed)
            if column.type == "date":
                assert all(dt.date.fromisoformat(value) for value in values)
            if column.type == "segments":
                assert all(set(value.split()) <= SEGMENTS.keys() for value in values)


def test_keys_are_unique(folder):
    for kind in LabelKind:
        rows = read(folder, f"labels/{kind}.csv")
        keys = [tuple(row[name] for name in LABELS[kind].key) for row in rows]
        assert len(set(keys)) == len(keys)


def test_every_study_and_run_is_there(folder, patients):
    studies = read(folder, "truth/studies.csv")
    exams = [(patient, exam) for patient in patients for exam in patient.exams]
    assert [row["study_uid"] for row in studies] == [exam.study_uid for _, exam in exams]
    for row, (patient, exam) in zip(studies, exams, strict=True):
        assert row["patient_id"] == patient.patient_id
        assert row["date"] == exam.date.isoformat()
        assert int(row["unchanged"]) == exam.unchanged
        assert float(row["one_year_risk"]) == pytest.approx(exam.one_year_risk, abs=1e-4)
        assert row["dominance"] == patient.anatomy.dominance
    runs = read(folder, "truth/runs.csv")
    assert len(runs) == sum(len(exam.acquisitions) for _, exam in exams)
    patient, exam = exams[0]
    first = exam.acquisitions[0]
    assert runs[0]["file"] == ids.run_file(patient.patient_id, 1, 1)
    assert runs[0]["sop_uid"] == ids.sop_uid(9, 0, 1, 1)
    assert runs[0]["artery"] == first.artery
    assert float(runs[0]["primary_angle_deg"]) == pytest.approx(first.primary_deg, abs=1e-4)
    assert int(runs[0]["n_frames"]) == first.n_frames
    assert len({row["sop_uid"] for row in runs}) == len(runs)


def test_segments_tell_the_truth_and_whether_it_is_visible(folder, patients):
    rows = {(row["study_uid"], row["segment"]): row for row in read(folder, "truth/segments.csv")}
    hidden = 0
    for patient in patients:
        for exam in patient.exams:
            seen = visible(patient.anatomy, exam.disease)
            told = {segment for study, segment in rows if study == exam.study_uid}
            assert told == patient.anatomy.segments
            for segment in told:
                row, state = rows[exam.study_uid, segment], exam.disease.state(segment)
                assert float(row["stenosis_percent"]) == pytest.approx(
                    state.stenosis_percent, abs=1e-4
                )
                assert (row["cto"], row["stent"]) == (str(int(state.cto)), str(int(state.stent)))
                assert row["visible"] == str(int(seen.state(segment) == state))
                hidden += row["visible"] == "0"
    assert hidden


def test_patients_have_their_first_event(folder, patients):
    rows = {row["patient_id"]: row for row in read(folder, "truth/patients.csv")}
    assert rows.keys() == {patient.patient_id for patient in patients}
    dated = [row["first_mace_date"] for row in rows.values() if row["first_mace_kind"]]
    assert dated
    assert all(dated)
    events = {(row["patient_id"], row["date"]) for row in read(folder, "labels/events.csv")}
    for patient_id, row in rows.items():
        if row["first_mace_date"]:
            assert (patient_id, row["first_mace_date"]) in events


def test_writing_again_gives_the_same_bytes(folder, tmp_path, patients):
    write_tables(tmp_path, [draw_patient(9, index) for index in range(len(patients))])
    for name in TABLES.values():
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert written == set(TABLES.values())


def test_a_table_without_rows_has_its_columns():
    assert table_text(EventRow, []) == "patient_id,date,kind,source\n"
