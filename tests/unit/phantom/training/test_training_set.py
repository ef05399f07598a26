from __future__ import annotations

import numpy as np
import pytest

from core.errors import UsageError
from core.segments import SEGMENTS
from phantom.training.dataset import (
    STATE_COLUMNS,
    SetSettings,
    draw_study,
    open_training_set,
    set_digest,
    shard_path,
    write_training_set,
)
from phantom.words.concepts import CONCEPTS, labels

SETTINGS = SetSettings(seed=1000, studies=3, shard_studies=2)


def first_sixteen(n_frames, frame_time_ms, onset_ms):
    return [min(i, n_frames - 1) for i in range(16)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("set")
    write_training_set(made, SETTINGS, choose=first_sixteen)
    return made


@pytest.fixture(scope="module")
def data(folder):
    return open_training_set(folder)


def test_rows_are_the_runs_of_the_studies_in_order(data):
    studies = [draw_study(SETTINGS, i) for i in range(3)]
    assert len(data) == sum(len(study.acquisitions) for study in studies)
    runs = [run for study in studies for run in study.acquisitions]
    assert [bool(right) for right in data.right] == [run.artery == "right" for run in runs]
    np.testing.assert_allclose(data.angles[:, 0], [run.primary_deg for run in runs], rtol=1e-6)
    assert data.study.tolist() == [i for i, study in enumerate(studies) for _ in study.acquisitions]


def test_labels_and_states_are_those_of_the_visible_disease(data):
    study = draw_study(SETTINGS, 1)
    np.testing.assert_array_equal(data.study_labels[1], labels(study.anatomy, study.visible))
    assert data.study_labels.shape == (3, len(CONCEPTS))
    percent = [study.visible.state(name).stenosis_percent for name in SEGMENTS]
    np.testing.assert_allclose(data.states[1, :, 0], percent, rtol=1e-6)
    assert data.lvef[1] == pytest.approx(study.disease.lvef_percent)


def test_segments_are_seen_in_the_runs_of_their_artery(data):
    every = np.arange(len(data))
    seen = data.seen(every)
    drawn = data.segments.reshape(len(data), len(SEGMENTS), -1).any(axis=2)
    assert not (drawn & ~seen).any(), "a segment is in the picture of the other artery"
    assert (drawn & seen).sum() > 0.9 * seen.sum()
    left, right = (data.states[:, :, STATE_COLUMNS.index(side)] for side in ("left", "right"))
    assert not (left * right).any()


def test_clips_are_read_across_shards(data, folder):
    last = np.load(shard_path(folder, 1) / "clips.npy")
    rows = np.array([len(data) - 1, 0, len(data) - len(last)])
    clips = data.read_clips(rows)
    np.testing.assert_array_equal(clips[0], last[-1])
    np.testing.assert_array_equal(clips[2], last[0])
    assert clips.shape == (3, 16, 128, 128)
    assert clips.std(axis=(1, 2, 3)).min() > 5


def test_lesion_maps_hold_lesions_of_the_injected_artery_only(data):
    maps = data.lesion_maps(np.arange(len(data)))
    assert maps.shape == (len(data), 6, 16, 16)
    assert set(np.unique(maps)) <= {0, 1}
    percent = np.where(data.seen(np.arange(len(data))), data.states[data.study, :, 0], 0)
    clean = percent.max(axis=1) < 50
    assert not maps[clean, 0].any()


def test_an_interrupted_set_ends_in_the_same_bytes(folder, tmp_path):
    write_training_set(tmp_path, SetSettings(1000, 3, shard_studies=2), choose=first_sixteen)
    whole = set_digest(tmp_path)
    assert whole == set_digest(folder)
    kept = shard_path(tmp_path, 1) / "clips.npy"
    before = kept.stat().st_mtime_ns
    for file in shard_path(tmp_path, 0).iterdir():
        file.unlink()
    shard_path(tmp_path, 0).rmdir()
    write_training_set(tmp_path, SETTINGS, choose=first_sixteen)
    assert set_digest(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_another_set_in_the_same_folder_is_refused(folder):
    with pytest.raises(UsageError, match="other settings"):
        write_training_set(folder, SetSettings(1001, 3), choose=first_sixteen)


def test_an_empty_folder_is_no_set(tmp_path):
    with pytest.raises(UsageError, match="no training set"):
        open_training_set(tmp_path)
