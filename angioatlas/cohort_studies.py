"""What the Atlas does with cohorts: chosen, saved, and handed to the studies of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import pandas as pd

from analytics.cohort import CohortDefinition, IndexRule, Which
from angioatlas import cohorts as cohorts_
from angioatlas.access.access import audit_trail
from angioatlas.access.audit import Action
from angioatlas.access.principal import Principal, Scope
from angioatlas.access.recording import audited, note
from angioatlas.cohort_columns import cohort_columns
from angioatlas.cohort_lists import of_the_store, read_list
from angioatlas.identities import lookup_identity
from angioatlas.ingest import EncoderHandle
from angioatlas.predictions import Asked, check_size, exams_of
from angioatlas.spaces import choose_space, encoder_handle
from core.errors import EncoderError, NotFoundError, UsageError
from core.settings import Settings
from embedder.encoders.registry import find_encoder
from embedder.encoders.sources import Encoders, LocalEncoders
from embedder.encoders.spec import Encoder, TextEmbedder
from store.registry import COHORTS, MODELS, Registry, SavedModel
from store.snapshot import Snapshot
from store.store import Store


class CohortStudies:
    """Cohorts of one store; a part of `Atlas`, made like it, and the base of the other parts.

    Attributes
    ----------
    principal : Principal
        Whose scopes are asked for by every use case, see `acting_as`; whoever works at this machine
        by default.
    trail : AuditTrail
        What every use case leaves an entry in.
    encoders : Encoders
        Where encoders come from; loaded in this process by default.
    """

    def __init__(self, store: Store, settings: Settings, version: int | None = None) -> None:
        self.store = store
        self.settings = settings
        self.version = version
        self.principal = Principal.local()
        self.trail = audit_trail(settings)
        self._replays = cohorts_.Replays()
        self.encoders: Encoders = LocalEncoders(settings.encoders_dir, device=settings.embed.device)

    def acting_as(self, principal: Principal) -> Self:
        """Return this Atlas as somebody else may use it; store, settings and caches are shared."""
        view = copy.copy(self)
        view.principal = principal
        return view

    def snapshot(self) -> Snapshot:
        """Open the version that this Atlas reads, pinned until it is closed."""
        opened = self.store.snapshot(self.version)
        note(store_version=opened.version)
        return opened

    def _snapshot_at(self, version: int) -> Snapshot:
        """Open a version of the store, whichever this Atlas reads."""
        return self.store.snapshot(version)

    @audited(Action.COHORT, "where", "like", "name")
    def choose_cohort(
        self,
        *,
        where: str | None = None,
        members: Sequence[str] | Path | None = None,
        index: IndexRule | Which | None = None,
        like: str | None = None,
        encoder: str | None = None,
        name: str | None = None,
    ) -> cohorts_.CohortMembers:
        """Choose a cohort from the version that this Atlas reads, and save it if it has a name.

        Parameters
        ----------
        where : str, optional
            A predicate over the columns of `study_view.study_view`, such as
            ``"patient_sex = 'F' and lvef_percent < 40"``.  Of who works at this machine it may be
            any of DuckDB's SQL, and a subquery may read the label tables.
        members : sequence of str or path, optional
            Studies or patients, by original or by the store's identifiers; or a file of them.
        index : IndexRule or {"first", "last", "every"}
            Which exam of a patient counts; "first" by default.
        like : str, optional
            A saved cohort whose predicate, index rule and encoder are taken.
        encoder : str, optional
            Whose findings the predicate may speak of, when the store has several encoders.
        name : str, optional
            Saves the cohort, which needs the scope `write`.

        Raises
        ------
        UsageError
            The predicate is none, a member is not in the store, nobody is left, or something is
            asked for beside a cohort that is like another.
        NameTakenError
            The name is another cohort's.
        """
        if name is not None:
            self.principal.require(Scope.WRITE)
        any_sql = self.principal.via == "local"
        rule = index if isinstance(index, IndexRule) else IndexRule(index or "first")
        if like is not None:
            if where is not None or index is not None:
                raise UsageError(
                    "a cohort that is like another has its predicate and its index rule",
                    "leave them out, or the other cohort",
                )
            other = self._like(like, is_listed=members is not None)
            # What was saved is evaluated whenever somebody looks how stale it is.
            where, rule, encoder, any_sql = (
                other.where,
                other.index,
                encoder or other.encoder_id,
                True,
            )
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings) if snapshot.spaces() else None
            listed = None if members is None else self._listed(snapshot, members)
            count = None if listed is None else len(listed)
            definition = CohortDefinition(where, count, rule, space if where else None)
            cohort = cohorts_.choose(
                self.store, snapshot, definition, listed=listed, any_sql=any_sql
            )
        return cohort if name is None else cohorts_.save(self.store, cohort, name)

    def _like(self, name: str, *, is_listed: bool) -> CohortDefinition:
        definition = self.cohort_definition(name)
        if definition.listed is not None and not is_listed:
            raise UsageError(
                "the cohort that this one is to be like was chosen from a list, which is not kept",
                "give the list",
            )
        return definition

    @audited(Action.READ, "name")
    def cohort(self, name: str) -> cohorts_.CohortMembers:
        """Return a saved cohort by its name or id, as it was chosen."""
        return self._replays.get(self.store, name, self._snapshot_at)

    @audited(Action.READ, refusals_only=True)
    def cohort_definition(self, name: str) -> CohortDefinition:
        """Return how a saved cohort was chosen, even when its version can no longer be read."""
        return CohortDefinition.from_json(Registry(self.store.tables).cohort(name).definition)

    @audited(Action.READ)
    def cohort_columns(self, *, encoder: str | None = None) -> pd.DataFrame:
        """Return what a predicate over studies may name; see `cohort_columns.cohort_columns`."""
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings) if snapshot.spaces() else None
            return cohort_columns(snapshot, encoder_id=space)

    @audited(Action.READ, refusals_only=True)
    def cohorts(self) -> pd.DataFrame:
        """Describe the saved cohorts, one a row, by name."""
        return cohorts_.listing(self.store)

    @audited(Action.READ, refusals_only=True)
    def cohort_staleness(self, cohort: cohorts_.CohortMembers) -> cohorts_.Staleness:
        """Say how a cohort differs from what its definition would choose now."""
        with self.snapshot() as snapshot:
            return cohorts_.staleness(snapshot, cohort)

    @audited(Action.READ, refusals_only=True)
    def clinical_predictors(self) -> list[str]:
        """Return what clinical predictors are called that anybody in the store has.

        Age and sex of the exam come first, then covariates, then measurements.
        """
        from analytics.predictors import AGE, SEX
        from angioatlas.studied import label_names

        with self.snapshot() as snapshot:
            return [AGE, SEX, *label_names(snapshot)]

    @audited(Action.WRITE, "name")
    def drop_cohort(self, name: str) -> None:
        """Delete a saved cohort by a name, or by its id with all its names.

        Its store version may then be retired.
        """
        Registry(self.store.tables).drop(COHORTS, name)

    @audited(Action.WRITE, "name")
    def drop_model(self, name: str) -> None:
        """Delete a saved model."""
        Registry(self.store.tables).drop(MODELS, name)

    def _studied(
        self,
        cohort: str | cohorts_.CohortMembers | None,
        encoder: str | None,
        saved: SavedModel | None = None,
    ) -> tuple[cohorts_.CohortMembers, str]:
        if cohort is None:
            cohort = self.choose_cohort()
        members = self.cohort(cohort) if isinstance(cohort, str) else cohort
        with cohorts_.opened(members, self._snapshot_at) as snapshot:
            space = self._space_of(snapshot, encoder, saved)
        note(
            cohort_id=members.cohort_id,
            encoder_id=space or None,
            store_version=members.store_version,
        )
        return members, space

    @contextmanager
    def _asked(
        self,
        saved: SavedModel,
        cohort: str | cohorts_.CohortMembers | None,
        studies: Sequence[str] | None,
        encoder: str | None,
        most: int | None,
    ) -> Iterator[Asked]:
        """Open what a saved model is asked about: a cohort, or single studies as they are now."""
        note(model_id=saved.model_id)
        if studies is None:
            members, space = self._studied(cohort, encoder, saved)
            check_size(members.members, most)
            with cohorts_.opened(members, self._snapshot_at) as snapshot:
                yield Asked(snapshot, members.members, space)
            return
        if cohort is not None:
            raise UsageError("a cohort and single studies are asked about", "name one of the two")
        with self.snapshot() as snapshot:
            space, lookup = self._space_of(snapshot, encoder, saved), self._uid_lookup()
            needed = space if saved.encoder_id else None
            exams = exams_of(snapshot, [lookup(uid) for uid in studies], encoder_id=needed)
            note(encoder_id=needed, study_uids=" ".join(exams["study_uid"]))
            yield Asked(snapshot, exams, space)

    def _space_of(self, snapshot: Snapshot, encoder: str | None, saved: SavedModel | None) -> str:
        """Return whose embeddings are read: of several, those that a model was fitted to."""
        # An empty one: the model reads no embeddings.
        read = None if saved is None else saved.encoder_id
        if encoder is None and read is not None and read in ("", *snapshot.spaces()):
            return read
        return choose_space(snapshot, encoder, self.settings)

    def _reader(self, space: str) -> TextEmbedder:
        return self.encoders.reader(space)

    def _encoder(self, space: str) -> Encoder:
        return self.encoders.encoder(space)

    def _handle(self, space: str) -> EncoderHandle:
        """Return the encoder of a space as what embeds takes it."""
        return replace(encoder_handle(space, self.settings), load=partial(self._encoder, space))

    def _text_reader(self, space: str) -> TextEmbedder | None:
        try:
            return self._reader(space)
        except (NotFoundError, EncoderError):  # no folder, or it reads no text
            return None

    def _may_be(self, uid: str) -> tuple[str, ...]:
        """Return what an original or the store's own UID may be in the store."""
        return self._uid_lookup()(uid)

    def _uid_lookup(self) -> Callable[[str], tuple[str, ...]]:
        """Return what tells, for a UID as somebody wrote it, what it may be in the store."""
        identity = lookup_identity(self.store.identity, self.settings.identity_key)
        return identity.resolve_uid if identity else lambda uid: (uid,)

    def _trained_on(self, space: str, cohort: cohorts_.CohortMembers) -> frozenset[str]:
        return self._patients_of_the_encoder(space, [*cohort.members["patient_id"]])

    def _patients_of_the_encoder(self, space: str, patients: Sequence[str]) -> frozenset[str]:
        from angioatlas.studied import patients_of_the_encoder

        identity = lookup_identity(self.store.identity, self.settings.identity_key)

        try:
            folder = find_encoder(space, self.settings.encoders_dir)
        except NotFoundError:  # the encoder itself is not here: nothing is known of its training
            return frozenset()
        return patients_of_the_encoder(folder, identity, patients)

    def _listed(self, snapshot: Snapshot, members: Sequence[str] | Path) -> list[str]:
        studies = snapshot.studies()
        known = {*studies["study_uid"].to_pylist(), *studies["patient_id"].to_pylist()}
        identity = lookup_identity(self.store.identity, self.settings.identity_key)
        names = read_list(members) if isinstance(members, Path) else members
        return of_the_store(names, identity, known)
