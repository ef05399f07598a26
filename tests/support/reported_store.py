"""A store of studies with vectors and reports: patient 1 has the studies 1.1, 1.2, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from angioatlas.labels import import_labels
from core.ids import KeptIdentity
from store.store import Store
from tests.support.store_cases import commit, new_store


def reported_store(
    folder: Path, studies: int, reports: Mapping[str, str], *, encoder_id: str
) -> Store:
    """Make a store with the studies 1.1 to 1.9, 2.1 …, one video each."""
    store = new_store(folder)
    names = [f"{1 + i // 9}.{1 + i % 9}" for i in range(studies)]
    commit(store, {name: [f"{name}.7"] for name in names}, encoder_id=encoder_id)
    if reports:
        give_reports(store, reports)
    return store


def give_reports(store: Store, reports: Mapping[str, str], *, replace: bool = False) -> None:
    """Import reports by study; with `replace` there are no others afterwards."""
    table = pd.DataFrame({"study_uid": [*reports], "text": [*reports.values()]})
    file = store.path.with_name(f"{store.path.name}-reports") / "reports.csv"
    file.parent.mkdir(exist_ok=True)
    table.to_csv(file, index=False)
    import_labels(store, [file], identity=KeptIdentity(), replace=replace)
