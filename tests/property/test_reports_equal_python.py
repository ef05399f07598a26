"""What the full-text index finds is what a plain loop over the reports finds, score for score.

Words are such that stemming leaves alone.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.report_text import ReportText
from tests.support.reported_store import give_reports, reported_store

WORDS = [f"w{i}" for i in range(6)]
STUDIES = [f"{patient}.{exam}" for patient in (1, 2, 3) for exam in range(1, 10)]
CLAUSE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)
REPORT = st.lists(CLAUSE, max_size=4)
REPORTS = st.dictionaries(st.sampled_from(STUDIES), REPORT, min_size=1, max_size=25)
QUERY = st.lists(st.lists(st.sampled_from([*WORDS, "w9"]), min_size=1, max_size=3), max_size=2)


def written(said):
    """Write clauses as a report or a query, never empty."""
    return "; ".join(" ".join(words) for words in said) or "-"


def scores(reports, query):
    """Score by BM25 with k1 = 1.2 and b = 0.75, over the clauses of all reports."""
    every = [clause for said in reports.values() for clause in said]
    mean = sum(map(len, every)) / max(len(every), 1)
    having = Counter(word for clause in every for word in set(clause))

    def score(words, clause):
        total = 0.0
        for word in words:
            rarity = math.log(1 + (len(every) - having[word] + 0.5) / (having[word] + 0.5))
            times = clause.count(word)
            total += rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(clause) / mean))
        return total

    found: dict[str, float] = {}
    for uid, said in reports.items():
        for words in dict.fromkeys(tuple(words) for words in query):
            fit = [score(words, clause) for clause in said if set(words) <= set(clause)]
            if fit:
                found[uid] = found.get(uid, 0.0) + max(fit)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return reported_store(tmp_path_factory.mktemp("reported") / "s", 27, {}, encoder_id="enc-a")


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    reports=REPORTS,
    queries=st.lists(QUERY, min_size=3, max_size=6),
    among=st.none() | st.sets(st.sampled_from(STUDIES)),
)
def test_found_is_what_a_loop_finds(store, reports, queries, among):
    give_reports(store, {uid: written(said) for uid, said in reports.items()}, replace=True)
    index = ReportText(store.path.with_name("reports"))
    with store.snapshot() as snapshot:
        for query in queries:
            found = index.search(snapshot, written(query), among=among)
            expected = scores(reports, query)
            wanted = {uid for uid in expected if among is None or uid in among}
            assert {uid for uid, _ in found} == wanted
            assert dict(found) == pytest.approx({uid: expected[uid] for uid in wanted}, rel=1e-4)
            assert found == sorted(found, key=lambda match: (-match[1], match[0]))
