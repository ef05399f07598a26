"""From raw outputs of heads to a table to read, and what the heads contradict each other in."""

import numpy as np
import pyarrow as pa
import pytest

from angioatlas.findings import LOGITS, REPORTED, contradictions, long_table, probability
from core.segments import FINDINGS, HEADS, SEGMENTS, head_name


def wide(*studies):
    """Return studies whose heads are all null but those given."""
    columns = {head: pa.array([s.get(head) for s in studies], pa.float32()) for head in HEADS}
    return pa.table({"study_uid": [f"S{i}" for i in range(len(studies))], **columns})


def test_every_value_finds_its_segment_and_column():
    values = {head: float(i) for i, head in enumerate(HEADS)}
    rows = long_table(wide(values, {head: -v for head, v in values.items()})).to_pylist()
    assert [(row["study_uid"], row["segment"]) for row in rows] == [
        (study, segment) for study in ("S0", "S1") for segment in SEGMENTS
    ]
    for row in rows:
        sign = 1 if row["study_uid"] == "S0" else -1
        assert row["segment_name"] == SEGMENTS[row["segment"]]
        for finding in FINDINGS:
            raw = sign * values[head_name(row["segment"], finding)]
            if finding.is_probability:
                assert row[LOGITS[finding.column]] == raw
                assert row[finding.column] == pytest.approx(1 / (1 + np.exp(-raw)), rel=1e-6)
            else:
                assert row[finding.column] == raw


def test_what_has_no_head_is_null_and_a_segment_without_heads_is_left_out():
    one = {"D1_cto": -1.0, "om2_stenosis": 30.0, "om2_stenosis_binary": -2.0}
    rows = long_table(wide(one)).to_pylist()
    assert [row["segment"] for row in rows] == ["D1", "om2"]
    assert {name for name in REPORTED if rows[0][name] is not None} == {"cto"}
    assert {name for name in REPORTED if rows[1][name] is not None} == {
        "stenosis_percent",
        "stenosis",
    }
    assert rows[1]["stenosis_percent"] == 30
    assert rows[1]["thrombus_logit"] is None
    assert long_table(wide()).num_rows == 0


def test_probabilities_saturate_without_overflow():
    logits = np.array([-1e30, -200, -50, 0, 50, 200, 1e30, np.nan], np.float32)
    p = probability(logits)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p[:-1], [0, 0, 1.9287498e-22, 0.5, 1, 1, 1], rtol=1e-6)
    assert np.isnan(p[-1])


@pytest.mark.parametrize(
    ("percent", "stenosis", "cto", "note"),
    [
        (45, 0.83, 0.1, "45.0 % but P(>70 %) = 0.83"),
        (85, 0.12, 0.1, "85.0 % but P(>70 %) = 0.12"),
        (85, 0.12, 0.9, "85.0 % but P(>70 %) = 0.12"),
        (20, 0.2, 0.75, "20.0 % but P(CTO) = 0.75"),
        (20, 0.7, 0.75, "20.0 % but P(>70 %) = 0.70 and P(CTO) = 0.75"),
        (112.5, 0.9, 0.2, "112.5 % is outside 0 to 100"),
        (-6, 0.6, 0.2, "-6.0 % but P(>70 %) = 0.60; -6.0 % is outside 0 to 100"),
        (-3, 0.1, 0.2, None),
        (104, 0.9, 0.2, None),
        (70, 0.4, 0.4, None),  # significant is strictly above 70
        (70, 0.5, 0.4, "70.0 % but P(>70 %) = 0.50"),
        (70.5, 0.5, 0.9, None),
        (0, 0.0, 0.0, None),
        (100, 1.0, 1.0, None),
        (None, 0.9, 0.9, None),
        (45, None, None, None),
        (45, None, 0.6, "45.0 % but P(CTO) = 0.60"),
    ],
)
def test_notes_tell_contradictions_and_nothing_else(percent, stenosis, cto, note):
    columns = {"stenosis_percent": [percent], "stenosis": [stenosis], "cto": [cto]}
    rows = pa.table({name: pa.array(v, pa.float32()) for name, v in columns.items()})
    assert contradictions(rows) == [note]
