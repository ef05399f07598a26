from __future__ import annotations

import pytest

from core.errors import UsageError
from index.fusion import Fused, reciprocal_rank_fusion


def test_a_score_is_the_sum_of_reciprocal_ranks():
    fused = reciprocal_rank_fusion(["a", "b", "c"], ["c", "a"])
    assert fused == [
        Fused("a", 1 / 61 + 1 / 62, (1, 2)),
        Fused("c", 1 / 63 + 1 / 61, (3, 1)),
        Fused("b", 1 / 62, (2, None)),
    ]


def test_one_ranking_stays_as_it_is_and_none_is_none():
    assert [item.uid for item in reciprocal_rank_fusion(["b", "a"], [])] == ["b", "a"]
    assert reciprocal_rank_fusion() == []
    assert reciprocal_rank_fusion([], []) == []


def test_equal_scores_are_in_the_order_of_uids_whatever_the_order_of_rankings():
    rankings = (["b", "a", "c"], ["c", "b", "a"], ["a", "c", "b"])
    for order in (rankings, rankings[::-1]):
        fused = reciprocal_rank_fusion(*order)
        assert [item.uid for item in fused] == ["a", "b", "c"]
        assert len({item.score for item in fused}) == 1


def test_a_member_of_one_ranking_alone_is_never_lost():
    fused = reciprocal_rank_fusion([f"v{i}" for i in range(500)], ["only reported"])
    assert len(fused) == 501
    assert {item.uid for item in fused[:2]} == {"only reported", "v0"}


def test_a_uid_twice_in_a_ranking_is_refused():
    with pytest.raises(UsageError, match="ranking 2 has 3 members, 2 different ones"):
        reciprocal_rank_fusion(["a"], ["a", "b", "a"])
