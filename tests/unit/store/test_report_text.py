from __future__ import annotations

import pytest

from store.report_text import clauses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Occlusion of the proximal LAD.\nLVEF 48 %.", ["occlusion proximal lad", "lvef 48"]),
        ("LAD: mid 99.5 % stenosis; RCA normal", ["lad mid 99 5 % stenosis", "rca normal"]),
        ("Sténose sévère de l'artère", ["stenosis severe artere"]),
        ("STENOSES, restenosis, Thrombose", ["stenosis restenosis thrombosis"]),
        ("œdème", ["oedeme"]),
        ("dose", ["dose"]),
        ("", []),
        (" .;\n ?! ", []),
        ("the of and la de", []),
        ("tag\0null \ud800".encode("utf-8", "ignore").decode(), ["tag null"]),
    ],
)
def test_what_is_said(text, expected):
    assert clauses(text) == [each.replace(" %", "") for each in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No stenosis of the RCA.", []),
        ("No thrombus, severe stenosis of the LAD", ["severe stenosis lad"]),
        ("Occluded LAD without flow beyond; RCA patent", ["occluded lad", "rca patent"]),
        ("The LAD is free of disease.", ["lad"]),
        ("Pas de sténose. Aucune lésion. IVA sans calcification.", ["iva"]),
        ("no-reflow in the LAD", ["reflow lad"]),
        ("normal notch, nodal", ["normal notch nodal"]),
    ],
)
def test_what_is_denied_is_not_said(text, expected):
    assert clauses(text) == expected
