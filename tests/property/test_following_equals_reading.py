"""A snapshot that follows an older one shows what one shows that reads everything."""

import dataclasses
import datetime as dt
import random

import pytest

from core.schema import Level
from store.maintain import compact, hide_patient, purge_patient
from tests.support.store_cases import batch, commit, new_store, patient_of, seen, seen_by

PATIENTS, SPACES = ["P1", "P2", "P3", "P4"], ["enc-a", "enc-b"]


def a_study(chance):
    return f"{chance.choice(PATIENTS)}.{chance.choice('abc')}"


def some_videos(study, chance):
    return [f"{study}.{n}" for n in chance.sample(range(6), chance.randrange(1, 4))]


def embed(store, chance):
    studies = {each: some_videos(each, chance) for each in {a_study(chance), a_study(chance)}}
    put(store, studies, encoder_id=chance.choice(SPACES), heads_id=heads(chance))


def embed_what_is_there(store, chance):
    """Give vectors of another space to the inputs that studies have, or had once."""
    study = a_study(chance)
    with store.snapshot() as snapshot:
        rows = snapshot.videos().to_pylist()
    sops = [row["sop_uid"] for row in rows if row["study_uid"] == study]
    put(
        store,
        {study: sops or some_videos(study, chance)},
        encoder_id=chance.choice(SPACES),
        heads_id=heads(chance),
        facts=chance.random() < 0.3,
    )


def lose(store, chance):
    put(store, {a_study(chance): []})


def give_away(store, chance):
    """Let a study be another patient's from now on."""
    study, owner = a_study(chance), chance.choice(PATIENTS)
    if owner in store.tombstones():
        return
    given = batch({study: some_videos(study, chance)})
    given = dataclasses.replace(
        given,
        cines=[dataclasses.replace(one, patient_id=owner) for one in given.cines],
        studies=[dataclasses.replace(one, patient_id=owner) for one in given.studies],
    )
    with store.writer("run") as writer:
        writer.commit(given)


def hide(store, chance):
    hide_patient(store, chance.choice(PATIENTS))


def purge(store, chance):
    purge_patient(store, chance.choice(PATIENTS))


def tidy(store, chance):
    compact(store, keep_versions=1, grace=dt.timedelta(0))


def put(store, studies, **how):
    """Commit the studies of those who are not deleted."""
    deleted = store.tombstones()
    alive = {study: each for study, each in studies.items() if patient_of(study) not in deleted}
    if alive:
        commit(store, alive, **how)


def heads(chance):
    return chance.choice(["heads-1", "heads-2", None])


ACTS = [embed] * 4 + [embed_what_is_there] * 3 + [lose, lose, give_away, hide, purge, tidy, tidy]


def read_something(snapshot, chance):
    """Read what a server reads, or less."""
    if chance.random() < 0.8:
        seen_by(snapshot)
    elif chance.random() < 0.5:
        snapshot.videos()
    elif snapshot.spaces():
        snapshot.keys(snapshot.spaces()[0], chance.choice([*Level]))


def check(tmp_path, seed, acts=8):
    chance = random.Random(seed)
    store = new_store(tmp_path / f"store{seed}")
    followed = store.snapshot()
    for _ in range(acts):
        read_something(followed, chance)
        followed.close()  # a purge waits for nobody
        for _ in range(chance.randrange(1, 4)):
            chance.choice(ACTS)(store, chance)
        newer = store.snapshot(after=followed)
        assert seen_by(newer, keys=True) == seen(store, keys=True)
        followed = newer
    followed.close()


# Each of these found a fault that was put in on purpose; together all four that were tried.
@pytest.mark.parametrize("seed", [1, 15, 30])
def test_following_equals_reading(tmp_path, seed):
    check(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_following_equals_reading_at_length(tmp_path, seed):
    check(tmp_path, seed, acts=14)
