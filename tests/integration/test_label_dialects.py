"""Label tables of other shapes and as Parquet, imported into a real store."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from angioatlas.atlas import Atlas
from angioatlas.label_dialects import Dialect, label_kind, truth
from angioatlas.labels import import_labels
from core.errors import UsageError
from core.ids import KeptIdentity, PseudonymisedIdentity
from core.labels import LabelKind
from tests.support.label_tables import STUDIES, TABLES, labelled_store, write_tables

KEPT = KeptIdentity()
STUDY, OTHER = "1.2.1", "1.3.1"
DATE = dt.date(2021, 3, 1)
SECRET = PseudonymisedIdentity(b"a key of sixteen", shift_dates=True)


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path / "s")


def take(store, path, kind, identity=KEPT):
    return import_labels(store, [path], identity=identity, kind=label_kind(kind))


def written(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(store, kind):
    with store.snapshot() as snapshot:
        return snapshot.labels(LabelKind(kind)).to_pylist()


def test_times_and_events_become_dated_events_and_follow_up(store, tmp_path):
    flat = written(
        tmp_path / "flat.csv",
        "PatientID,exam_date,time,status,kind,site",
        "P1,2021-03-01,10,1,mi,a",
        "P1,2021-05-01,300,0,,a",
        "P2,2021-03-01,400,no,,b",
        "P3,2021-03-01,7.0,TRUE,,b",
        "P4,2021-03-01,31,2,,b",
        "P5,2021-03-01,31,yes,death_cardiovascular,b",
    )
    take(store, flat, "outcomes-flat")
    assert [(e["patient_id"], e["date"], e["kind"]) for e in rows(store, "events")] == [
        ("P1", dt.date(2021, 3, 11), "mi"),
        ("P3", dt.date(2021, 3, 8), "mace"),
        ("P4", dt.date(2021, 4, 1), "death_other"),
        ("P5", dt.date(2021, 4, 1), "death_cardiovascular"),
    ]
    assert [
        (f["patient_id"], f["last_known_date"], f["status"]) for f in rows(store, "follow_up")
    ] == [
        ("P1", dt.date(2022, 2, 25), "alive"),
        ("P2", dt.date(2022, 4, 5), "alive"),
        ("P3", dt.date(2021, 3, 8), "alive"),
        ("P4", dt.date(2021, 4, 1), "dead"),
        ("P5", dt.date(2021, 4, 1), "dead"),
    ]


def test_a_study_dates_its_row_also_when_the_store_shifts_dates(tmp_path):
    store = labelled_store(tmp_path / "s", SECRET)
    flat = written(tmp_path / "f.csv", "patient_id,study_uid,time_days,event", f"P1,{STUDY},9,1")
    take(store, flat, Dialect.OUTCOMES_FLAT, identity=SECRET)
    pseudonym = SECRET.patient("P1")
    shift = dt.timedelta(days=SECRET.shift_days(pseudonym))
    (event,) = rows(store, "events")
    assert event["patient_id"] == pseudonym
    assert event["date"] == DATE + dt.timedelta(days=9) + shift


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("P1,,1.9.9,9,1,", r"column index_date: expected a date, or a study of the store"),
        ("P1,1.3.2021,,9,1,", r"column index_date: expected a date such as"),
        ("P1,2021-03-01,,-4,1,", r"column time_days: expected days, 0 or more, found -4"),
        ("P1,2021-03-01,,soon,1,", r"column time_days: expected days"),
        ("P1,2021-03-01,,nan,1,", r"column time_days: expected days"),
        ("P1,2021-03-01,,9,,", r"column event: expected 1 or 0, yes or no"),
        ("P1,2021-03-01,,9,3,", r"column event: .* found 3"),
        ("P1,2021-03-01,,9,1,infarct", r"column kind: expected one of death_cardiovascular"),
        (",2021-03-01,,9,1,", r"column patient_id: expected a value"),
    ],
)
def test_a_bad_outcome_is_refused_with_its_place(store, tmp_path, row, said):
    header = "patient_id,index_date,study_uid,time_days,event,kind"
    flat = written(tmp_path / "f.csv", header, "P2,2021-03-01,,9,0,", row)
    with pytest.raises(UsageError, match=rf"f\.csv, line 3, {said}"):
        take(store, flat, "outcomes_flat")
    assert store.latest_version == 1


def test_nobody_is_followed_beyond_a_death(store, tmp_path):
    flat = written(
        tmp_path / "f.csv",
        "patient_id,index_date,time_days,event,kind",
        "P1,2021-03-01,10,1,death_cardiovascular",
        "P1,2021-03-01,300,0,",
    )
    with pytest.raises(UsageError, match=r"line 3, column time_days: .* death that line 2 tells"):
        take(store, flat, "outcomes-flat")


def test_findings_of_reports_become_measurements_once_a_study(store, tmp_path):
    other_patient = STUDIES[OTHER]
    table = written(
        tmp_path / "wide.csv",
        "DICOMPath,StudyInstanceUID,ss_patient_id,prox_lad_stenosis,mid_rca_stenosis,"
        "prox_lad_calcif_binary,prox_lad_cto,mid_rca_thrombus",
        f"a.dcm,{STUDY},P1,70-90% eccentric,,moderate,0,True",
        f"b.dcm,{STUDY},P1,70-90% eccentric,,moderate,0,True",
        f"c.dcm,{OTHER},{other_patient},0,nan,none,false,",
    )
    take(store, table, "external-validation")
    found = [row for row in rows(store, "measurements") if row["study_uid"] == STUDY]
    assert {row["name"]: row["value"] for row in found} == {
        "stenosis_percent@prox_lad": 90,
        "calcification@prox_lad": 1,
        "cto@prox_lad": 0,
        "thrombus@mid_rca": 1,
    }
    assert {(r["patient_id"], r["date"], r["method"]) for r in found} == {("P1", DATE, "report")}
    second = {r["name"]: r["value"] for r in rows(store, "measurements") if r["study_uid"] == OTHER}
    # Nothing is told of the right artery, and missing is not zero.
    assert second == {
        "stenosis_percent@prox_lad": 0,
        "calcification@prox_lad": 0,
        "cto@prox_lad": 0,
    }
    assert take(store, table, "external-validation").store_version == 2  # again changes nothing


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{study},150%,"], r"line 2, column prox_lad_stenosis: expected a percentage"),
        (["{study},tight,"], r"line 2, column prox_lad_stenosis: expected a percentage"),
        (["{study},,perhaps"], r"line 2, column prox_lad_cto: expected 1 or 0"),
        (["1.9.9,70,"], r"line 2, column study_uid: expected a study of the store"),
        (["{study},70,", "{study},80,"], r"line 3, column .*: expected what line 2 says"),
    ],
)
def test_findings_that_cannot_be_used_are_refused(store, tmp_path, lines, said):
    table = written(
        tmp_path / "w.csv",
        "StudyInstanceUID,prox_lad_stenosis,prox_lad_cto",
        *(line.format(study=STUDY) for line in lines),
    )
    with pytest.raises(UsageError, match=said):
        take(store, table, "external-validation")
    assert store.latest_version == 1


@pytest.mark.parametrize("kind", ["outcomes-flat", "outcomes_flat", "follow-up", "follow_up"])
def test_names_of_tables_may_have_hyphens(kind):
    assert label_kind(kind).value.replace("-", "_") == kind.replace("-", "_")


def test_a_name_that_is_none_is_refused():
    with pytest.raises(UsageError, match="no label table 'outcome'") as error:
        label_kind("outcome")
    assert "events, follow_up" in error.value.hint
    assert "outcomes-flat" in error.value.hint


@pytest.mark.parametrize(
    ("text", "is_true"), [("1", True), ("No", False), ("F", False), ("?", None)]
)
def test_words_and_digits_are_truth_values_alike(text, is_true):
    assert truth(text) is is_true


def test_parquet_says_what_csv_says(tmp_path):
    folder = write_tables(tmp_path / "csv")
    other = tmp_path / "parquet"
    other.mkdir()
    for name in TABLES:
        table = pyarrow.csv.read_csv(
            folder / f"{name}.csv",
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        )
        pq.write_table(table, other / f"{name}.parquet")
    seen = []
    for i, labels in enumerate((folder, other)):
        store = labelled_store(tmp_path / f"s{i}")
        import_labels(store, [labels], identity=KEPT)
        seen.append({kind: rows(store, kind) for kind in TABLES})
    assert seen[0] == seen[1]


def test_parquet_types_become_the_cells_of_the_table(store, tmp_path):
    table = pa.table(
        {
            "patient_id": pa.array([7, 8], pa.int64()).cast(pa.string()),
            "index_date": pa.array([dt.datetime(2021, 3, 1)] * 2, pa.timestamp("us")),
            "time_days": pa.array([10.0, 12.0]),
            "event": pa.array([True, False]),
            "kind": pa.array(["mi", None]),
        }
    )
    pq.write_table(table, tmp_path / "flat.parquet")
    take(store, tmp_path / "flat.parquet", "outcomes-flat")
    assert [(e["patient_id"], e["kind"]) for e in rows(store, "events")] == [("7", "mi")]
    assert [f["last_known_date"] for f in rows(store, "follow_up")] == [
        dt.date(2021, 3, 11),
        dt.date(2021, 3, 13),
    ]


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(store, tmp_path, content):
    file = tmp_path / "events.parquet"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"events\.parquet"):
        import_labels(store, [file], identity=KEPT)


def test_an_atlas_takes_other_shapes_by_name(tmp_path):
    store = labelled_store(tmp_path / "atlas")
    flat = written(tmp_path / "f.csv", "patient_id,index_date,time_days,event", "P1,2021-03-01,9,1")
    Atlas.open(tmp_path / "atlas").import_labels([flat], kind="outcomes-flat")
    assert len(rows(store, "events")) == 1
