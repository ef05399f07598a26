"""What is drawn for a heart: how often, where, and what never."""

import numpy as np
import pytest

from core.segments import SEGMENTS
from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import visible
from phantom.heart.lesions import MAX_LVEF, MIN_LVEF, choose_segment, draw_disease, draw_lesion
from phantom.heart.mixes import ENRICHED, KINDS, NATURAL
from phantom.words.concepts import EVALUATION_QUERIES, holds


def hearts(mix, n, **wanted):
    rng = np.random.default_rng(5)
    anatomies = [draw_anatomy(rng) for _ in range(n)]
    return [(anatomy, draw_disease(rng, anatomy, mix, **wanted)) for anatomy in anatomies]


@pytest.fixture(scope="module")
def natural():
    return hearts(NATURAL, 1200)


@pytest.fixture(scope="module")
def enriched():
    return hearts(ENRICHED, 800)


@pytest.mark.parametrize("query", EVALUATION_QUERIES)
def test_every_query_has_positives_and_is_no_commonplace(natural, query):
    concept = EVALUATION_QUERIES[query]
    share = np.mean([holds(concept, heart, visible(heart, disease)) for heart, disease in natural])
    assert 0.02 < share < 0.35


def test_a_quarter_is_normal(natural):
    normal = [not disease.segments for _, disease in natural]
    assert np.mean(normal) == pytest.approx(0.24, abs=0.04)


def test_only_what_there_is_can_be_ill(natural, enriched):
    for heart, disease in natural + enriched:
        assert disease.segments.keys() <= heart.segments
        assert MIN_LVEF <= disease.lvef_percent <= MAX_LVEF


def test_the_left_main_never_occludes(natural, enriched):
    found = [disease.state("left_main") for _, disease in natural + enriched]
    assert not any(state.occluded or state.cto or state.thrombus for state in found)
    assert np.mean([state.stenosis_percent >= 50 for state in found]) > 0.04


def test_chronic_occlusions_are_occlusions_and_calcium_can_be_seen(natural, enriched):
    for _, disease in natural + enriched:
        for state in disease.segments.values():
            assert state.occluded or not state.cto
            assert not (state.occluded and state.thrombus)
            assert state.calcification == 0 or 0.3 <= state.calcification <= 1


def test_the_enriched_mix_raises_what_is_rare(natural, enriched):
    def share(drawn, says):
        return np.mean([any(map(says, disease.segments.values())) for _, disease in drawn])

    def where(drawn, segment):
        return np.mean([d.state(segment).stenosis_percent >= 50 for _, d in drawn])

    assert share(enriched, lambda s: s.thrombus) > 1.5 * share(natural, lambda s: s.thrombus)
    for segment in ("bx", "D1", "D2", "om2", "left_main", "lvp"):
        assert where(enriched, segment) > 1.3 * where(natural, segment)
    lesions = [
        sum(s.stenosis_percent >= 20 for s in disease.segments.values()) for _, disease in enriched
    ]
    assert max(lesions) >= 7
    assert 0.1 < np.mean([not disease.segments for _, disease in enriched]) < 0.3


def test_every_finding_of_every_segment_is_learnt_from_somewhere():
    # Thrombus and occlusion of the left main are left out by intent.
    seen = {(name, kind) for name in SEGMENTS for kind in ("stenosis", "calcification")}
    for _, disease in hearts(ENRICHED, 3000):
        for name, state in disease.segments.items():
            if state.stenosis_percent >= 50:
                seen.discard((name, "stenosis"))
            if state.calcification:
                seen.discard((name, "calcification"))
    assert seen == set()


def test_age_and_tendency_make_disease_and_calcium():
    def shares(**wanted):
        drawn = [disease for _, disease in hearts(NATURAL, 500, **wanted)]
        ill = [disease for disease in drawn if disease.segments]
        hard = [any(s.calcification for s in disease.segments.values()) for disease in ill]
        return len(ill) / len(drawn), np.mean(hard)

    (young, soft), (old, hard) = shares(age_years=45), shares(age_years=82)
    assert young + 0.1 < old
    assert soft + 0.2 < hard
    assert shares(age_years=64, atheroma=-1)[0] + 0.15 < shares(age_years=64, atheroma=1)[0]


def test_an_occluded_proximal_lad_weakens_the_heart(natural):
    occluded = [d.lvef_percent for _, d in natural if d.state("prox_lad").occluded]
    healthy = [d.lvef_percent for _, d in natural if not d.segments]
    assert np.median(occluded) + 8 < np.median(healthy)


def test_half_of_the_enriched_ejection_fractions_tell_nothing():
    drawn = [d.lvef_percent for _, d in hearts(ENRICHED, 1500) if not d.segments]
    # 16 % of hearts are weak anyway; of the others half are drawn from 15 to 70.
    assert np.mean([lvef < 40 for lvef in drawn]) > 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_lesion_is_what_its_kind_says(kind):
    rng = np.random.default_rng(2)
    low, high = {
        "mild": (20, 50), "moderate": (50, 70), "severe": (70, 99), "occlusion": (100, 100),
        "cto": (100, 100), "thrombus": (0, 85),
    }[kind]  # fmt: skip
    for _ in range(200):
        lesion = draw_lesion(rng, kind)
        assert low <= lesion.stenosis_percent <= high
        assert lesion.cto == (kind == "cto")
        assert lesion.thrombus == (kind == "thrombus")
        assert 6 <= lesion.length_mm <= 18
        assert 0 < lesion.centre < 1
        assert 0 <= lesion.eccentricity <= 1


def test_no_segment_is_chosen_where_none_may_be():
    rng = np.random.default_rng(1)
    free = frozenset({"prox_lad"})
    assert choose_segment(rng, {"prox_lad": 0.0, "mid_lad": 1.0}, free) is None
    assert choose_segment(rng, {"prox_lad": 0.1, "mid_lad": 1.0}, free) == "prox_lad"
