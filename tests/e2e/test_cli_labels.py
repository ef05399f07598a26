"""`angioatlas labels` as a person runs it."""

from __future__ import annotations

from tests.support.cli import angioatlas, as_json
from tests.support.label_tables import TABLES, labelled_store, write_tables


def test_labels_are_imported_shown_and_refused(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    labelled_store(store)
    folder = write_tables(tmp_path / "labels")
    done = angioatlas(home, "labels", "import", folder, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "store version 2" in done.stdout
    assert "Research use only" in done.stdout
    shown = as_json(home, "labels", "show", "events", "--store", store, "--limit", 1)
    assert shown["total"] == 3
    assert shown["rows"] == [
        {"patient_id": "P1", "date": "2021-03-01", "kind": "mi", "source": "registry"}
    ]
    write_tables(folder, events=[TABLES["events"][0], "P1,someday,mi,"])
    done = angioatlas(home, "labels", "import", folder, "--store", store)
    assert done.returncode == 2
    assert "events.csv, line 2, column date: expected a date such as 2024-05-31" in done.stderr
    assert "correct the tables" in done.stderr
    assert as_json(home, "store", "info", "--store", store)["labels events"] == 3
