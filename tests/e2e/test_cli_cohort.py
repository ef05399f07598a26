"""`angioatlas cohort` as a person runs it."""

from __future__ import annotations

import json
import re

from tests.support.cli import angioatlas, as_json
from tests.support.label_tables import STUDIES, labelled_store, write_tables


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


def test_cohorts_are_compared(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    labelled_store(store, studies={**STUDIES, "1.4.1": "P3", "1.5.1": "P4"})
    add = ["cohort", "create", "one", "--where", "patient_id in ('P1', 'P3')", "--store", store]
    assert angioatlas(home, *add).returncode == 0
    compare = ["cohort", "compare", "one", "--rest", "--store", store]
    done = angioatlas(home, *compare)
    assert done.returncode == 0, done.stderr
    assert "no outcomes: nobody of one and everybody else can be followed" in done.stdout
    tables = {
        "events": ["patient_id,date,kind", "P1,2021-06-09,mi"],
        "follow_up": [
            "patient_id,last_known_date,status",
            *(f"{patient},2023-01-01,alive" for patient in ("P1", "P2", "P3", "P4")),
        ],
        "covariates": ["patient_id,name,value", "P1,diabetes,yes", "P2,diabetes,no"],
    }
    folder = write_tables(tmp_path / "labels", tables)
    assert angioatlas(home, "labels", "import", folder, "--store", store).returncode == 0
    again = ["cohort", "create", "two", "--like", "one", "--store", store]
    assert angioatlas(home, *again).returncode == 0
    compare[2], out = "two", tmp_path / "two.html"
    more = ["--endpoint", "mi", "--horizon", "60", "--horizon", "365", "--report", out]
    done = angioatlas(home, *compare, *more)
    assert done.returncode == 0, done.stderr
    for line in (
        r"two +\w{12} +2 +2 +2",
        r"diabetes +1 \(100%\); 1 missing +0 \(0%\); 1 missing +inf",
        r"two +2 +1 +0.5 +0 +671 ",
        r"two +365 +1 +1 +0 +50.0 \(0.6 to 91.0\) +50.0 ",
        r"everybody else +60 +2 +0 +0 +100.0 ",
        r"Log-rank test .* chi² 1.00, 1 degree of freedom, p = 0.317\.",
        r"Research use only",
        r"two\.html written",
    ):
        assert re.search(line, done.stdout), line
    assert "<h1>Cohorts compared: two, everybody else</h1>" in out.read_text()
    told = as_json(home, *compare, *more[:-2])
    assert told == json.loads(out.with_suffix(".json").read_text())
    assert told["outcomes"]["log_rank"]["df"] == 1
    done = angioatlas(home, "cohort", "compare", "two", "--store", store)
    assert done.returncode == 2
    assert "1 groups to compare: expected 2 to 4" in done.stderr
