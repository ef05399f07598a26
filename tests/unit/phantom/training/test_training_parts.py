from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from phantom.training import augment
from phantom.training.batches import SEGMENT_FACTS, segment_facts, shuffled
from phantom.training.dataset import STATE_COLUMNS
from phantom.training.dense import concept_loss
from phantom.training.features import findings_of
from phantom.training.joint import drop_views, finding_loss, rank_loss
from phantom.training.loop import Schedule
from phantom.training.models import Average
from phantom.training.retrieval import average_precision
from phantom.training.sentences import Sentences
from phantom.training.validate import auroc
from phantom.words.concepts import BY_NAME, CONCEPTS, EVALUATION_QUERIES


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_move_mirrors_a_picture():
    theta = augment.draw_moves(500, generator())
    turn = torch.atan2(theta[:, 1, 0], theta[:, 0, 0])
    assert (torch.linalg.det(theta[:, :, :2]) > 0.3).all()
    assert turn.abs().max() < 0.4
    assert theta[:, :, 2].abs().max() <= 2 * augment.SHIFT


def test_truth_moves_with_its_picture():
    clips = torch.zeros(8, 1, 128, 128)
    clips[:, :, 40:48, 80:88] = 100
    maps = torch.nn.functional.avg_pool2d(clips, 8)
    theta = augment.draw_moves(8, generator(3))
    moved = augment.move(clips, theta, edge="border")
    where = augment.move(maps, theta, edge="zeros")
    for picture, truth in zip(moved[:, 0], where[:, 0], strict=True):
        for axis in (0, 1):
            at = (picture.sum(1 - axis) * (torch.arange(128) + 0.5)).sum() / picture.sum()
            said = (truth.sum(1 - axis) * (torch.arange(16) + 0.5)).sum() / truth.sum()
            assert abs(float(at / 8 - said)) < 0.35, "cells"


def test_time_goes_forward_save_for_a_lost_frame():
    times = augment.draw_times(400, 16, generator())
    assert times.min() >= 0
    assert times.max() == 15
    assert (times.diff(dim=1) >= -1).all()
    untouched = (times == torch.arange(16)).all(dim=1).float().mean()
    assert 0.15 < untouched < 0.6


def test_a_cine_that_ends_early_holds_its_last_frame():
    clips = torch.arange(16.0).repeat(300, 1)[:, :, None, None].expand(300, 16, 4, 4)
    found = augment.end_early(clips, generator())[:, :, 0, 0]
    last = found[:, -1]
    assert set(last.tolist()) == {8.0, 9.0, 10.0}
    assert (found == torch.minimum(torch.arange(16.0), last[:, None])).all()


def test_grey_curves_rise():
    curves = augment.draw_curves(100, generator())
    assert (curves.diff(dim=1) >= 0).all()
    assert curves.min() >= 0
    assert curves.max() <= 255


def test_blades_cover_edges_only():
    clips = augment.close_shutter(torch.full((200, 2, 128, 128), 200.0), generator())
    assert (clips[:, :, 20:108, 20:108] == 200).all()
    covered = (clips != 200).flatten(1).any(dim=1).float().mean()
    assert 0.2 < covered < augment.SHUTTERED + 0.1


def test_an_unknown_label_counts_for_nothing():
    logits = torch.tensor([[2.0, -1.0, 50.0]])
    known = concept_loss(logits[:, :2], torch.tensor([[1, 0]]))
    assert concept_loss(logits, torch.tensor([[1, 0, -1]])).item() == pytest.approx(known.item())
    assert concept_loss(logits, torch.tensor([[1, 0, 0]])) > known


def test_ranking_is_right_when_positives_are_before_negatives():
    positive = torch.tensor([[True, True], [False, True], [True, False]])
    good = torch.where(positive, 20.0, -20.0)
    assert rank_loss(good, positive) < 1e-6
    assert rank_loss(-good, positive) > 30
    one_sided = torch.cat([positive, torch.ones(3, 1, dtype=torch.bool)], dim=1)
    more = torch.cat([-good, torch.zeros(3, 1)], dim=1)
    assert rank_loss(more, one_sided) == rank_loss(-good, positive)


def test_every_study_keeps_a_view():
    present = torch.tensor([[True, True, False], [True, False, False]])
    rng = np.random.default_rng(0)
    kept = torch.stack([drop_views(present, 0.5, rng) for _ in range(200)])
    assert kept.any(dim=2).all()
    assert not (kept & ~present).any()
    assert (kept.sum(dim=2)[:, 0] == 1).any()
    assert (drop_views(present, 1.0, rng) == present).all()


def test_finding_heads_are_held_against_percent_and_logits():
    truth = torch.zeros(1, 18, 5)
    truth[0, 0] = torch.tensor([80.0, 1, 0, 0, 1])
    right = torch.cat([truth[..., :1], 40 * truth[..., 1:] - 20], dim=2)
    assert finding_loss(right, truth) < 1e-6
    wrong = right.clone()
    wrong[..., 0] += 30
    assert finding_loss(wrong, truth) > 0.3


def test_facts_and_findings_are_read_off_states():
    state = dict.fromkeys(STATE_COLUMNS, 0.0) | {"stenosis_percent": 100.0, "cto": 1.0}
    facts = segment_facts(np.array([*state.values()], np.float32))
    assert {n for n, v in zip(SEGMENT_FACTS, facts, strict=True) if v} == {
        *("stenosis", "significant", "occlusion", "cto"),
    }
    state |= {"stenosis_percent": 70.0, "cto": 0.0, "calcification": 0.5, "thrombus": 1.0}
    found = findings_of(np.array([*state.values()], np.float32))
    assert found.tolist() == [70, 0, 1, 0, 1], "a stenosis is significant above 70 %"


def test_every_row_comes_once_an_epoch():
    rows = shuffled(23, 5, seed=1)
    first = np.concatenate([rows(step) for step in range(4)])
    assert len(set(first)) == len(first) == 20
    assert rows(2).tolist() == shuffled(23, 5, seed=1)(2).tolist()
    assert first.tolist() != np.concatenate([rows(step) for step in range(4, 8)]).tolist()


def test_the_rate_warms_up_and_falls():
    schedule = Schedule(steps=100, batch=1, peak=1.0, warm_up=10)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.01, abs=0.005)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_average_follows_slowly():
    only = torch.nn.Linear(1, 1, bias=False)
    module = torch.nn.ModuleDict({"only": only})
    torch.nn.init.constant_(only.weight, 0.0)
    average = Average(module, decay=0.9)
    torch.nn.init.constant_(only.weight, 1.0)
    values = []
    for _ in range(60):
        average.update(module)
        values.append(next(average.module.parameters()).item())
    assert values == sorted(values)
    assert values[0] == pytest.approx(10 / 11)
    assert values[-1] == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_areas_and_precisions_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.3
    score = rng.normal(size=60) + truth
    assert auroc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert average_precision(truth, score) == pytest.approx(average_precision_score(truth, score))
    tied = np.round(score)
    assert auroc(truth, tied) == pytest.approx(roc_auc_score(truth, tied))


def test_a_query_without_positives_has_no_figures():
    none = np.zeros(4, bool)
    assert np.isnan(auroc(none, np.arange(4.0)))
    assert np.isnan(average_precision(none, np.arange(4.0)))


def lengths(texts):
    """Numbers that tell a text by its words' lengths."""
    width = max(len(text.split()) for text in texts)
    rows = [[len(word) for word in text.split()] for text in texts]
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])[..., None]


def test_sentences_begin_with_the_evaluations_wording():
    sentences = Sentences(lengths)
    first = sentences.first()
    for text, concept in EVALUATION_QUERIES.items():
        expected = [len(word) for word in text.split()]
        assert first[CONCEPTS.index(concept), : len(expected), 0].tolist() == expected
    drawn = sentences.draw(np.random.default_rng(0))
    assert len(drawn) == len(CONCEPTS)
    assert not torch.equal(drawn[:, :3], sentences.draw(np.random.default_rng(1))[:, :3])


def test_pairs_hold_of_a_study_and_ask_for_both():
    holds = np.zeros((2, len(CONCEPTS)), bool)
    one, two, three = (CONCEPTS.index(BY_NAME[n]) for n in ("stent:lad", "cto:rca", "normal"))
    holds[0, [one, two]] = True
    holds[1, [one, three]] = True
    rng = np.random.default_rng(0)
    pairs, numbers = Sentences(lengths).draw_pairs(holds, 40, rng)
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == {
        tuple(sorted((one, two))),
        tuple(sorted((one, three))),
    }
    assert numbers.shape[0] == 40
