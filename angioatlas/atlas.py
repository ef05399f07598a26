"""The Atlas: the object that everything goes through.  Each method is one use case.

    atlas = Atlas.open("atlas")
    atlas.studies()
    atlas.search("proximal LAD occlusion").hits
    atlas.similar(study_uid, k=5).hits
    atlas.export("cohort.duckdb")

Research use only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from angioatlas import export as export_
from angioatlas import findings as findings_
from angioatlas import labels as labels_
from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.browse import Browsing
from angioatlas.cohorts import opened
from angioatlas.comparison.part import Comparing
from angioatlas.embedding import Embedding
from angioatlas.evaluation.part import Evaluation
from angioatlas.identities import lookup_identity, map_file, store_identity
from angioatlas.label_dialects import Dialect, label_kind
from angioatlas.lvef.part import LvefStudies
from angioatlas.maps.part import Maps
from angioatlas.operations import Operations
from angioatlas.patients import find_patient
from angioatlas.pictures import Pictures
from angioatlas.probes.part import Probes
from angioatlas.progression.part import Progression
from angioatlas.spaces import choose_space
from angioatlas.stored_exam import forget_files
from angioatlas.survival.part import SurvivalStudies
from core.errors import NotFoundError, UsageError
from core.identity_map import IdentityMap
from core.labels import LabelKind
from core.outcomes import Code, Status
from core.schema import Format
from core.settings import Settings, load_settings
from embedder.encoders.sources import Encoders
from store.maintain import MaintenanceReport, compact, purge_patient
from store.store import Store, Where

_READERS_S: Final = 30.0
"""How long a deletion waits for those who follow the store to let go of older versions."""


class Atlas(
    Comparing,
    SurvivalStudies,
    LvefStudies,
    Probes,
    Progression,
    Maps,
    Evaluation,
    Browsing,
    Pictures,
    Operations,
    Embedding,
):
    """One store, read at one version, with the settings of this installation.

    Made by `Atlas.open`.  Reads follow the latest version unless one was named.  Every use case
    asks for a scope of its principal and leaves an entry in the audit trail; see docs/access.md.

    Parameters
    ----------
    store : Store
    settings : Settings
    version : int or None
        The store version to read; None follows the latest.
    """

    @classmethod
    def open(
        cls,
        store: Where,
        *,
        settings: Settings | None = None,
        version: int | None = None,
        follow: bool = False,
        encoders: Encoders | None = None,
    ) -> Atlas:
        """Open a store to read, search, export and maintain, as whoever works at this machine.

        Parameters
        ----------
        store : path or URI
        settings : Settings, optional
        version : int, optional
            Read this version.
        follow : bool
            Make everything ready now, share it among all calls and follow the store in a thread,
            as a server wants; `close` ends it.
        encoders : Encoders, optional
            Where encoders come from, unless they are to be loaded in this process.

        Raises
        ------
        NotFoundError
            When there is no store, or not this version of it.
        UsageError
            When a version is to be followed.
        """
        opened = Store.open(store)
        if version is not None:
            opened.snapshot(version).close()
        atlas = cls(opened, settings or load_settings(), version)
        if encoders is not None:
            atlas.encoders = encoders
        if follow:
            atlas.follow()
        return atlas

    @audited(Action.READ)
    def studies(self) -> pd.DataFrame:
        """Return the visible studies, one a row, by study_uid."""
        with self.snapshot() as snapshot:
            return _frame(snapshot.studies())

    @audited(Action.READ)
    def videos(self, study_uid: str | None = None) -> pd.DataFrame:
        """Return the visible videos, one a row, by sop_uid; of one study if one is named."""
        with self.snapshot() as snapshot:
            videos = snapshot.videos()
            if study_uid is not None:
                uids = self._may_be(study_uid)
                videos = videos.filter(
                    pc.is_in(videos["study_uid"], value_set=pa.array(uids, pa.string()))
                )
                note(study_uid=next(iter(videos["study_uid"].to_pylist()), None))
            return _frame(videos)

    @audited(Action.READ, "status", "code", "limit")
    def inputs(
        self, *, status: Status | None = None, code: Code | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Return the ledger: where every input ever offered ended, by uri."""
        with self.snapshot() as snapshot:
            rows = snapshot.inputs()
        for column, wanted in (("status", status), ("code", code)):
            if wanted is not None:
                rows = rows.filter(pc.equal(rows[column], wanted.value))
        return _frame(rows if limit is None else rows.slice(0, limit))

    @audited(Action.READ, "where", "heads")
    def findings(
        self,
        where: str | None = None,
        *,
        study_uid: str | None = None,
        encoder: str | None = None,
        heads: str | None = None,
    ) -> findings_.Findings:
        """Return what finding heads say of each segment, of all studies or of one.

        Parameters
        ----------
        where : str, optional
            A predicate of DuckDB's SQL over the columns of the result and of `studies`, such as
            ``"segment = 'prox_lad' and stenosis_percent > 70 and patient_sex = 'F'"``.
        study_uid : str, optional
            StudyInstanceUID, the original or the store's surrogate.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        heads : str, optional
            Needed when it holds findings of several sets of heads.
        """
        with self.snapshot() as snapshot:
            return findings_.findings(
                snapshot,
                encoder_id=choose_space(snapshot, encoder, self.settings),
                heads=heads,
                study_uids=None if study_uid is None else self._may_be(study_uid),
                where=where,
            )

    @audited(Action.WRITE, "kind", "replace")
    def import_labels(
        self,
        paths: Sequence[Path | str],
        *,
        kind: LabelKind | Dialect | str | None = None,
        replace: bool = False,
    ) -> labels_.LabelReport:
        """Import label tables with original identifiers; see `labels.import_labels`.

        Parameters
        ----------
        paths : sequence of path
            Files, or folders with files named as the tables (``events.csv``).
        kind : LabelKind or Dialect, optional
            The table that the files hold, when their names do not tell, or another shape that they
            have.
        replace : bool
            The files are whole: rows of their tables that they do not have are withdrawn.

        Raises
        ------
        UsageError
            When a file or a cell cannot be used.  Nothing is imported then.
        IdentityError
            When the store is pseudonymised and its key is not here.
        """
        return labels_.import_labels(
            self.store,
            [Path(path) for path in paths],
            identity=store_identity(self.store.identity, self.settings.identity_key),
            kind=None if kind is None else label_kind(kind),
            replace=replace,
        )

    @audited(Action.READ, "kind")
    def labels(self, kind: LabelKind | str) -> pd.DataFrame:
        """Return the labels of one table, one a row, by patient and date."""
        with self.snapshot() as snapshot:
            return _frame(snapshot.labels(LabelKind(kind)))

    @audited(Action.EXPORT, "format", "cohort", "source_paths", "reports")
    def export(
        self,
        out: Path | str,
        *,
        format: Format | str | None = None,
        encoder: str | None = None,
        cohort: str | None = None,
        source_paths: bool = False,
        reports: bool = False,
        overwrite: bool = False,
    ) -> export_.ExportReport:
        """Write what is visible as DuckDB, Parquet or CSV; see `export.export`.

        A saved cohort is written as it stands in the version that it was chosen from.
        """
        out = Path(out)
        chosen = None if cohort is None else self.cohort(cohort)
        if chosen is not None and self.version not in (None, chosen.store_version):
            raise UsageError(
                f"the cohort is of store version {chosen.store_version}, not {self.version}",
                "leave the version out",
            )
        with self.snapshot() if chosen is None else opened(chosen, self._snapshot_at) as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            return export_.export(
                snapshot,
                out,
                store=self.store,
                encoder_id=space,
                format=export_.choose_format(out, None if format is None else Format(format)),
                cohort=chosen,
                reader=self._text_reader(space),
                source_paths=source_paths,
                reports=reports,
                overwrite=overwrite,
            )

    @audited(Action.READ, refusals_only=True)
    def info(self) -> dict[str, Any]:
        """Return what the store holds and how it keeps identities."""
        with self.snapshot() as snapshot:
            counts = snapshot.ledger().counts()
            statuses = {
                status.value: sum(n for (s, _), n in counts.items() if s is status)
                for status in Status
            }
            return {
                "version": snapshot.version,
                "studies": snapshot.studies().num_rows,
                "videos": snapshot.videos().num_rows,
                "inputs": sum(counts.values()),
                **{f"inputs {status}": count for status, count in statuses.items()},
                **{
                    f"labels {kind}": rows.num_rows
                    for kind in LabelKind
                    if (rows := snapshot.label_rows(kind)).num_rows
                },
                "encoders": snapshot.spaces(),
                "finding heads": sorted(
                    {heads for space in snapshot.spaces() for heads in snapshot.heads(space)}
                ),
                "identifiers": self.store.identity.mode.value,
                "key fingerprint": self.store.identity.key_fingerprint,
                "dates shifted": self.store.identity.shift_dates,
            }

    @audited(Action.READ, refusals_only=True)
    def versions(self) -> list[dict[str, Any]]:
        """Return the store versions that can be read, newest first."""
        return [
            {
                "version": record.version,
                "kind": record.kind,
                "created_at": record.created_at,
                "run_id": record.run_id,
                "encoder_id": record.encoder_id,
            }
            for record in reversed(self.store.versions())
            if record.version
        ]

    @audited(Action.ADMIN)
    def compact(self) -> dict[str, Any]:
        """Merge small files and drop old versions; what is visible stays the same."""
        retention = self.settings.retention
        report = compact(
            self.store,
            keep_versions=retention.keep_versions,
            grace=dt.timedelta(days=retention.grace_days),
        )
        return asdict(report)

    @audited(Action.ADMIN)
    def purge_patient(self, patient: str) -> dict[str, Any]:
        """Delete a patient: hidden at once, then from all versions, indexes and the private map.

        Exams that were stored over HTTP lose their files, too; those of an archive are yours.

        Parameters
        ----------
        patient : str
            The original patient id, or the store's pseudonym.

        Raises
        ------
        NotFoundError
            When the store has no such patient.
        StoreError
            When a reader holds an older version, which holds the bytes.
        """
        identity = lookup_identity(self.store.identity, self.settings.identity_key)
        may_be = identity.resolve_patient(patient) if identity else (patient,)
        found = find_patient(self.store, may_be)
        if found is None:
            raise NotFoundError(
                "the store has no such patient",
                "angioatlas export lists the patient ids of the store in `studies`",
            )
        # The private map and the files of stored exams go while the store still knows which.
        private_map = map_file(self.settings.identity_key)
        if private_map.exists():
            with IdentityMap(private_map) as known:
                known.forget(found.surrogates)
        self._caches.clear()
        self._compared.clear()
        try:
            if self.settings.serve.archive_dir is not None:
                forget_files(self.settings.serve.archive_dir, found.uris)
        finally:  # whatever became of the files, the patient is found no more
            report = self._purge(found.patient_id)
        return asdict(report)

    def _purge(self, patient_id: str) -> MaintenanceReport:
        try:
            return purge_patient(self.store, patient_id, wait_s=_READERS_S)
        finally:
            # Afterwards: a search that began before the patient was hidden may have built it again.
            self._reports.clear()
            self._maps.clear()
            # A picture that is drawn after this finds the patient deleted.
            self._pictures.clear()


def _frame(table: pa.Table) -> pd.DataFrame:
    # Which commit wrote a row is the store's business.
    hidden = [name for name in table.column_names if name in {"commit_id", "input_hash"}]
    frame: pd.DataFrame = table.drop_columns(hidden).to_pandas()
    return frame
