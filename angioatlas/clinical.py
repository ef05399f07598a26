"""A clinical question to a store: which statements rank, and which leave rows out.

What is wanted is ranked by sentences; what is measured or told by finding heads leaves rows out by
predicates; what is not wanted and no column tells is taken away from the query's vector.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.filters import rows_of_view_where
from angioatlas.statement_columns import columns_of, predicate_of
from core.errors import UsageError
from core.schema import EMBEDDING_DIM, Level
from embedder.encoders.spec import Coverage, TextEmbedder
from index.late import unit
from index.query.parse import parse
from index.query.prompts import absence_of, prompts_of
from index.query.statement import ParsedQuery, Statement
from index.query.vocabulary import Finding

NEGATIVE_WEIGHT: Final = 0.5
"""How much of an unwanted finding's unit vector is taken from the mean of the wanted ones'.

Of 20 compositional questions to 400 phantom studies that nothing else is measured on, the precision
among the best ten was 0.82 with 0.25, 0.83 with 0.5 and 0.81 with 0.75 beside predicates, 0.78 with
predicates alone, and 0.82 with 0.5 and no predicates of finding heads."""
ENOUGH_KNOWN: Final = 0.5
"""The share of the studies that a column must be known of to leave out those that do not satisfy
it, and with them those of which it is not known."""


Columns = Callable[[frozenset[str]], pa.Table]
"""Given names of columns, returns one row a study or video, with its uid and those that exist."""


class Ranks(StrEnum):
    """How a part of a question moves the order of the hits."""

    PROMPT = "prompt"
    NEGATIVE = "negative prompt"
    PLAIN = "plain text"


@dataclass(frozen=True)
class Part:
    """A part of a question, as it is shown.

    Attributes
    ----------
    words : str
        The stretch of the text that it comes from.
    read : str
        What it was taken to say; empty where it was not understood.
    ranks : Ranks or None
    where : str or None
        The predicate, in the language of `store.predicate`.
    prompts : tuple of str
        Sentences for the text encoder; of a negative prompt what is not wanted.
    typed : str
        Where the whole text asks for one finding, the text: it counts as much as all the sentences,
        so that a question which the encoder reads well by itself stays as good.
    """

    words: str
    read: str
    ranks: Ranks | None = None
    where: str | None = None
    prompts: tuple[str, ...] = ()
    typed: str = ""

    @property
    def use(self) -> str:
        """What becomes of it, in words."""
        parts = [str(self.ranks)] if self.ranks else []
        parts += ["predicate"] if self.where else []
        return " and ".join(parts) or "not used"


@dataclass(frozen=True)
class Question:
    """A text, resolved against what a store knows.

    Attributes
    ----------
    parts : tuple of Part
    notes : tuple of str
        What the asker should know of how it was read.
    columns : frozenset of str
        That could tell whether its statements hold; its predicates name no others.
    """

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Sentences of what is wanted, one ensemble a part, and the text if it counts by itself."""
        wanted = [part for part in self.parts if part.ranks in (Ranks.PROMPT, Ranks.PLAIN)]
        typed = tuple((part.typed,) for part in wanted if part.typed)
        return tuple(part.prompts for part in wanted) + typed

    @property
    def negatives(self) -> tuple[tuple[str, ...], ...]:
        """Sentences of what is not wanted."""
        return tuple(part.prompts for part in self.parts if part.ranks is Ranks.NEGATIVE)

    @property
    def where(self) -> tuple[str, ...]:
        """The predicates, all of which must hold."""
        return tuple(part.where for part in self.parts if part.where is not None)

    @property
    def said(self) -> str:
        """What the text encoder is asked to read, one sentence a part."""
        parts = [texts[0] for texts in (*self.prompts, *self.negatives)]
        parts += [part.words for part in self.parts if not (part.read or part.ranks)]
        return ", ".join(parts)

    def without(self, words: Collection[str]) -> Question:
        """Return the question without some parts: they neither rank nor leave rows out.

        Parameters
        ----------
        words : collection of str
            The `words` of those parts.

        Raises
        ------
        UsageError
            There is no such part, or nothing is left to rank by.
        """
        if not words:
            return self
        there = list(dict.fromkeys(part.words for part in self.parts))
        unknown = next((each for each in words if each not in there), None)
        if unknown is not None:
            raise UsageError(
                f"the text was not read with a part {unknown!r}",
                f"its parts are {', '.join(map(repr, there))}",
            )
        parts = tuple(
            replace(part, ranks=None, where=None, typed="") if part.words in words else part
            for part in self.parts
        )
        left = replace(self, parts=parts)
        if not left.prompts:
            raise UsageError("nothing of the text is left to rank by", "leave a finding in")
        return left

    def vector(self, reader: TextEmbedder) -> NDArray[np.float32]:
        """Return the query's vector, float32 (512,), L2-normalised.

        Notes
        -----
        The mean over what is wanted of the unit vector of each ensemble, less `NEGATIVE_WEIGHT` of
        that of each ensemble that is not wanted.
        """
        wanted = [_mean(reader, texts) for texts in self.prompts]
        total = np.mean(wanted, axis=0) if wanted else np.zeros(EMBEDDING_DIM)
        for texts in self.negatives:
            total = total - NEGATIVE_WEIGHT * _mean(reader, texts)
        return unit(total).astype(np.float32)


def ask(parsed: ParsedQuery, known: Mapping[str, float], level: Level) -> Question:
    """Resolve a text against what a store knows.

    Parameters
    ----------
    parsed : ParsedQuery
        With a statement or more.
    known : mapping of str to float
        The columns that predicates may name, and of what share of the rows each is known.
    level : Level

    Returns
    -------
    Question
        Every statement and every word that was not understood is in one of its parts.
    """
    parts, notes = [], []
    for statement in parsed.statements:
        part, said = _part(parsed, statement, known, level)
        parts.append(part)
        notes += said
    if parsed.unknown:
        notes.append(f"not understood: {', '.join(dict.fromkeys(parsed.not_understood))}")
    parts += [Part(text, "", Ranks.PLAIN, prompts=(text,)) for text in parsed.unclear]
    if len(parts) == 1 and parts[0].ranks is Ranks.PROMPT and not parts[0].where:
        parts = [replace(parts[0], typed=parsed.text)]
    question = Question(tuple(parts), tuple(notes), _columns(parsed))
    return question if question.prompts else _ranked_by_what_there_is(question, parsed)


def shares_known(rows: pa.Table) -> dict[str, float]:
    """Return of what share of the rows each column is known, 0 to 1."""
    total = max(1, rows.num_rows)
    return {name: 1 - rows[name].null_count / total for name in rows.column_names}


def understand(text: str, reader: TextEmbedder, level: Level, columns: Columns) -> Question:
    """Read a text, and resolve it against a store and its text encoder.

    Parameters
    ----------
    text : str
    reader : TextEmbedder
        Words that were not understood are left to it; where it has met none of a stretch of them,
        that stretch is not used.
    level : Level
    columns : callable
        Given names of columns, returns the rows that predicates may speak of with those of them
        that there are; called only where there could be a predicate.

    Returns
    -------
    Question
        Of a text of which nothing was understood, the text as it is.
    """
    parsed = parse(text)
    if not parsed.statements:
        part = Part(text, "", Ranks.PLAIN, prompts=(text,))
        return Question((part,), ("no clinical word was understood: searched as plain text",))
    named = _columns(parsed)
    known = shares_known(columns(named)) if named else {}
    question = ask(parsed, known, level)
    # A stretch of which the encoder has met no word would only add noise.
    parts = tuple(
        replace(part, ranks=None, prompts=()) if _is_foreign(part, reader) else part
        for part in question.parts
    )
    return replace(question, parts=parts) if any(part.ranks for part in parts) else question


def _columns(parsed: ParsedQuery) -> frozenset[str]:
    return frozenset(column for each in parsed.statements for column in columns_of(each))


def chosen_by(
    question: Question, rows: pa.Table, uids: pa.ChunkedArray, level: Level
) -> tuple[NDArray[np.bool_], Question]:
    """Tell which rows satisfy all predicates, bool (uids,), and note those that choose none or all.

    Parameters
    ----------
    question : Question
        With a predicate or more.
    rows : pa.Table
        Of `angioatlas.filters.filter_view`.
    uids : pa.ChunkedArray
        Of the rows that are searched.
    level : Level
    """
    chosen, notes = np.ones(len(uids), bool), list(question.notes)
    for where in question.where:
        satisfied = rows_of_view_where(rows, uids, where, level=level)
        if satisfied.all() or not satisfied.any():
            every = "every" if satisfied.all() else "no"
            notes.append(f"{every} {level.value} satisfies {where}")
        chosen &= satisfied
    return chosen, replace(question, notes=tuple(notes))


@dataclass(frozen=True)
class Read:
    """A text as a search takes it.

    Attributes
    ----------
    vector : array [512], float32
        L2-normalised.
    chosen : array [rows], bool
        Rows that its predicates leave.
    question : Question or None
        None where the text was taken as it is.
    covered : Coverage or None
        What the text encoder knows of its words; None when it knows all words.
    """

    vector: NDArray[np.float32]
    chosen: NDArray[np.bool_]
    question: Question | None
    covered: Coverage | None

    @property
    def means_something(self) -> bool:
        """Whether the encoder knows a word of it, or predicates chose: else there is no ranking."""
        chosen = self.question is not None and bool(self.question.where)
        return self.covered is None or bool(self.covered.known) or chosen


def read(
    text: str,
    reader: TextEmbedder,
    level: Level,
    columns: Columns,
    uids: pa.ChunkedArray,
    *,
    plain: bool = False,
    without: Collection[str] = (),
) -> Read:
    """Read a text as a search does.

    Parameters
    ----------
    text, reader, level, columns
        As for `understand`.
    uids : pa.ChunkedArray
        Of the rows that are searched.
    plain : bool
        Take it as it is.
    without : collection of str
        Words of parts that are not used; see `Question.without`.
    """
    every = np.ones(len(uids), bool)
    if plain:
        return Read(reader.encode([text])[0], every, None, reader.coverage(text))
    question = understand(text, reader, level, columns).without(without)
    covered, vector = reader.coverage(question.said), question.vector(reader)
    if question.where:
        every, question = chosen_by(question, columns(question.columns), uids, level)
    return Read(vector, every, question, covered)


def _is_foreign(part: Part, reader: TextEmbedder) -> bool:
    if part.ranks is not Ranks.PLAIN:
        return False
    covered = reader.coverage(part.words)
    return covered is not None and not covered.known


def _ranked_by_what_there_is(question: Question, parsed: ParsedQuery) -> Question:
    """Let what only leaves rows out rank as well, or else the text as it is."""
    parts = []
    for part, statement in zip(question.parts, parsed.statements, strict=True):
        texts = absence_of(statement) if statement.negated else prompts_of(statement)
        parts.append(replace(part, ranks=Ranks.PROMPT, prompts=texts) if texts else part)
    if any(part.ranks for part in parts):
        return replace(question, parts=tuple(parts))
    note = "nothing here names what a picture shows: the order of the hits means nothing"
    plain = Part(parsed.text, "", Ranks.PLAIN, prompts=(parsed.text,))
    return replace(question, parts=(*parts, plain), notes=(*question.notes, note))


def _part(
    parsed: ParsedQuery, statement: Statement, known: Mapping[str, float], level: Level
) -> tuple[Part, list[str]]:
    words, read = parsed.words_of(statement), str(statement)
    where = predicate_of(statement, level) if columns_of(statement) else None
    notes: list[str] = []
    if where is not None:
        lacking = [c for c in columns_of(statement) if known.get(c, 0.0) < ENOUGH_KNOWN]
        if lacking:
            notes.append(_lacking(read, lacking, known))
            where = None
    if statement.finding is Finding.VIEW and where is None:
        notes.append(f"{read}: views are of videos, search with --level video")
    sentences = prompts_of(statement)
    if not sentences or (where is not None and statement.finding is Finding.LVEF):
        return Part(words, read, None, where), notes
    ranks = Ranks.NEGATIVE if statement.negated else Ranks.PROMPT
    return Part(words, read, ranks, where, sentences), notes


def _lacking(read: str, lacking: Sequence[str], known: Mapping[str, float]) -> str:
    if lacking[0] not in known:
        return f"{read}: the store has no {lacking[0]}"
    return f"{read}: {lacking[0]} is known of {known[lacking[0]]:.0%} of the studies only"


def _mean(reader: TextEmbedder, texts: Sequence[str]) -> NDArray[np.float64]:
    return unit(reader.encode(texts).astype(np.float64).mean(axis=0))
