"""Predicates for tests: texts that are none, and random ones with the same rule in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

REFUSED = Path(__file__).parents[1] / "data" / "refused_predicates.tsv"


def refused_predicates() -> dict[str, list[tuple[str, str]]]:
    """Return texts that are no predicates, and what is said of each, by group.

    Over columns patient_age_years, lvef_percent (numbers), patient_sex, view (texts), study_date,
    patient_known (true or false), and the short names age and sex.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    with REFUSED.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            text = json.loads(row["predicate"])
            found.setdefault(row["group"], []).append((text, row["reason"]))
    return found
