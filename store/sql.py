"""SQL over tables in memory: our own, and what a user typed, one SELECT or one predicate.

File and network access are switched off before a text is seen, and cannot be switched on by it.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from core.errors import UsageError
from store.predicate import Predicate

_SAFE_TO_QUOTE: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.SyntaxException,
)
_ROW: Final = "_row"


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    # Making one takes 20 ms, and opening a snapshot asks five times.  It holds nothing: what a
    # query registers belongs to the cursor of that query.
    engine = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    # While Python still stands: threads that outlive it would keep the connection, and DuckDB says
    # so on the terminal.
    atexit.register(_engine.cache_clear)
    return engine


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """Answer a query of our own over tables, which are not copied.

    Each column comes in one piece: of several, taking a few rows would first join them, every time.
    """
    # Every name in the SQL is registered: DuckDB is never left to look for Python variables.
    with _engine().cursor() as cursor:
        for name, table in tables.items():
            cursor.register(name, table)
        return cursor.sql(sql).to_arrow_table().combine_chunks()


def satisfying(rows: pa.Table, predicate: Predicate, column: str) -> pa.ChunkedArray:
    """Return a column of the rows that a predicate holds for, which was read and written anew."""
    with _engine().cursor() as cursor, _refusals("predicate"):
        # `filter` parses one expression: no second statement and no clause can follow it.
        found = cursor.from_arrow(rows).filter(predicate.sql).select(column).to_arrow_table()
    return found[column]


def locked(tables: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    """Return a connection that holds `tables`, by name, and reaches nothing else."""
    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    for name, rows in tables.items():
        # A table, since a registered view belongs to one cursor and each query has its own.
        connection.register("arriving", rows)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
        connection.unregister("arriving")
    connection.execute("SET lock_configuration = true")
    return connection


def select(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
) -> pa.Table:
    """Answer one SELECT.

    Raises
    ------
    UsageError
        When it is not one SELECT, or DuckDB refuses it.
    """
    with _refusals("query"):
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError("the query is not one SELECT statement")
        return connection.sql(statements[0], params=params).to_arrow_table()


def matching(
    name: str, rows: pa.Table, predicate: str, *, others: Mapping[str, pa.Table] | None = None
) -> pa.Table:
    """Return the rows that a predicate holds for, in the order they came in.

    Parameters
    ----------
    name : str
        What the predicate may call the table.
    rows : pa.Table
    predicate : str
        One expression of DuckDB's SQL over the columns, as after WHERE.
    others : mapping of str to pa.Table, optional
        Tables that a subquery of the predicate may read.

    Raises
    ------
    UsageError
        When it is not one predicate, or DuckDB refuses it.
    """
    numbered = rows.append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    hint = f"give one SQL expression over these columns: {', '.join(rows.column_names)}"
    with locked({**(others or {}), name: numbered}) as connection, _refusals("predicate", hint):
        # `filter` parses one expression: no second statement and no clause can follow it.
        found = connection.table(name).filter(predicate).project(_ROW).fetchnumpy()[_ROW]
    return rows.take(pa.array(np.sort(found)))


@contextmanager
def _refusals(what: str, hint: str = "") -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        # Errors of these kinds quote the text; others may quote values of patients.
        quotable = isinstance(error, _SAFE_TO_QUOTE)
        cause = str(error).splitlines()[0] if quotable else type(error).__name__
        raise UsageError(f"the {what} failed: {cause}", hint) from error
