"""`angioatlas cohort` as a person runs it."""

from __future__ import annotations

from tests.support.cli import angioatlas, as_json
from tests.support.label_tables import labelled_store, write_tables


def test_a_cohort_is_created_listed_repeated_and_deleted(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    labelled_store(store)
    where = "patient_sex = 'F' and lvef_percent < 60"
    done = angioatlas(home, "cohort", "create", "weak", "--where", where, "--store", store)
    assert done.returncode == 2
    assert "nobody is left in the cohort after the step" in done.stderr
    folder = write_tables(tmp_path / "labels")
    assert angioatlas(home, "labels", "import", folder, "--store", store).returncode == 0
    done = angioatlas(home, "cohort", "create", "weak", "--where", where, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "first exam of each patient" in done.stdout
    assert "Research use only" in done.stdout
    shown = as_json(home, "cohort", "show", "weak", "--store", store)
    assert shown["stale"] is None
    assert [step["studies"] for step in shown["attrition"]] == [3, 2, 2, 2, 1]
    (listed,) = as_json(home, "cohort", "list", "--store", store)
    assert (listed["name"], listed["stale"]) == ("weak", False)
    again = as_json(home, "cohort", "run", shown["cohort_id"][:10], "--store", store)
    assert [member["study_uid"] for member in again["members"]] == ["1.2.1"]
    out = tmp_path / "members.csv"
    assert angioatlas(home, "cohort", "run", "weak", "--out", out, "--store", store).returncode == 0
    assert out.read_text() == "study_uid,patient_id,index_date\n1.2.1,P1,2021-03-01\n"
    more = ["cohort", "create", "weak too", "--like", "weak", "--store", store]
    assert as_json(home, *more)["cohort_id"] == shown["cohort_id"]
    done = angioatlas(home, "cohort", "create", "x", "--index", "second", "--store", store)
    assert done.returncode == 2
    assert "expected first, last, every" in done.stderr
    assert angioatlas(home, "cohort", "delete", "weak", "--yes", "--store", store).returncode == 0
    assert [each["name"] for each in as_json(home, "cohort", "list", "--store", store)] == [
        "weak too"
    ]
