"""Label tables for tests: two patients, P1 with the studies 1.2.1 and 1.2.2, P2 with 1.3.1."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from core.ids import Identity, KeptIdentity
from core.schema import Cine
from store.batch import CommitBatch, StudyFacts
from store.store import Store
from tests.support.cines import make_cine

STUDIES = {"1.2.1": "P1", "1.2.2": "P1", "1.3.1": "P2"}
TABLES = {
    "events": [
        "patient_id,date,kind,source",
        "P1,2021-03-01,mi,registry",
        "P1,2022-08-09,death_cardiovascular,registry",
        "P2,2020-02-29,stroke,",
    ],
    "follow_up": [
        "patient_id,last_known_date,status",
        "P1,2022-08-09,dead",
        "P2,2024-01-01,lost",
    ],
    "measurements": [
        "id,patient_id,study_uid,date,name,value,unit,method",
        "m1,P1,1.2.1,2021-03-02,lvef_percent,48,%,echo",
        ",P1,1.2.1,2021-03-02,stenosis_percent@prox_lad,99.5,%,qca",
        ",P2,,2020-03-01,lvef_percent,61,%,echo",
    ],
    "procedures": [
        "id,patient_id,date,kind,segments",
        "p1,P1,2021-03-02,pci,mid_lad prox_lad",
        ",P2,2019-05-05,cabg,",
    ],
    "covariates": [
        "id,patient_id,date,name,value",
        ",P1,2021-03-01,diabetes,yes",
        ",P2,,sex,F",
    ],
    "reports": [
        "study_uid,text,language",
        '1.2.1,"Occlusion of the proximal LAD.\nLVEF 48 %.",en',
        "1.3.1,Normal coronary arteries.,en",
    ],
}


def write_tables(
    folder: Path, tables: Mapping[str, list[str]] = TABLES, **changes: list[str]
) -> Path:
    """Write label tables as CSV; `changes` takes the place of whole tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (dict(tables) | changes).items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def labelled_store(
    folder: Path, identity: Identity | None = None, studies: Mapping[str, str] = STUDIES
) -> Store:
    """Return a new store with the facts of studies, by original identifiers."""
    identity = identity or KeptIdentity()
    store = Store.create(folder, identity=identity.record)
    if studies:
        add_studies(store, identity, studies)
    return store


def add_studies(store: Store, identity: Identity, studies: Mapping[str, str]) -> int:
    cines = [identity.cine(_cine(study, patient)) for study, patient in studies.items()]
    facts = [StudyFacts.of([cine], input_hash="0" * 64) for cine in cines]
    with store.writer("run") as writer:
        return writer.commit(CommitBatch(cines=cines, studies=facts))


def _cine(study: str, patient: str) -> Cine:
    return make_cine(f"{study}.7", study, patient_id=patient, study_date=dt.date(2021, 3, 1))
