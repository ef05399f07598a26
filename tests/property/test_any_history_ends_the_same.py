"""Whatever happened to an archive between runs, the store ends as one made of it afresh."""

import os
import random
import shutil

import pytest

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions
from core.settings import load_settings
from tests.e2e.test_embed_flow import cine, tiny, visible

STUDIES = ("a", "b", "c")


def files(archive):
    return sorted(path for path in archive.rglob("*") if path.is_file())


def write(folder, name, seed=None):
    """Write a run; one in four says that it shows the left ventricle."""
    said = "LV gram" if int(name[1:]) % 4 == 0 else "Left Coronary"
    cine(folder, name, study=name[0], seed=seed, SeriesDescription=said)


def add(archive, chance):
    name = f"{chance.choice(STUDIES)}{chance.randrange(40)}"
    write(archive / str(chance.randrange(3)), name)


def replace_pixels(archive, chance):
    # Every copy alike: other bytes under one UID would be a conflict, and history decides those.
    name = chance.choice(files(archive)).name
    seed = chance.randrange(1000)
    for path in files(archive):
        if path.name == name:
            write(path.parent, path.stem, seed)


def remove(archive, chance):
    chance.choice(files(archive)).unlink()


def copy(archive, chance):
    source = chance.choice(files(archive))
    target = archive / f"copies{chance.randrange(3)}" / source.name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(source, target)


def move(archive, chance):
    source = chance.choice(files(archive))
    target = archive / f"moved{chance.randrange(3)}" / source.name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        source.rename(target)


def touch(archive, chance):
    os.utime(chance.choice(files(archive)), ns=(1, chance.randrange(10**9)))


def damage_and_mend(archive, chance):
    path = chance.choice(files(archive))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    yield
    if path.exists() and path.stat().st_size == len(whole) // 2:
        path.write_bytes(whole)


def embed(archive, store, chance, most, **options):
    report = Atlas.embed_into(
        store,
        [archive],
        encoder=tiny(),
        settings=load_settings().with_embed(
            workers=1, commit_studies=chance.choice([1, 2, 64]), videos_per_study=most
        ),
        options=EmbedOptions(keep_identifiers=True, **options),
    )
    assert report.inputs == sum(report.by_status.values()) == len(files(archive))
    return report


def bare(rows):
    """Leave out where a copy was read from: which of several copies is kept is history."""
    vectors, facts = rows
    return vectors, [{k: v for k, v in fact.items() if k != "source_uri"} for fact in facts]


def check_history(tmp_path, seed, most=None):
    chance = random.Random(seed)
    archive = tmp_path / "archive"
    for _ in range(4):
        add(archive, chance)
    mends = []
    for _ in range(8):
        for _ in range(chance.randrange(1, 4)):
            if len(files(archive)) < 3:
                add(archive, chance)
            act = chance.choice([add, add, replace_pixels, remove, copy, move, touch])
            act(archive, chance)
        if chance.random() < 0.3:
            mend = damage_and_mend(archive, chance)
            next(mend)
            mends.append(mend)
        options = {name: chance.random() < 0.4 for name in ("prune", "retry", "verify")}
        embed(archive, tmp_path / "store", chance, most, **options)
        for mend in mends:
            next(mend, None)
        mends.clear()
    embed(archive, tmp_path / "store", chance, most, prune=True, retry=True, verify=True)
    settled = embed(archive, tmp_path / "store", chance, most, prune=True)
    assert settled.videos_embedded == 0
    embed(archive, tmp_path / "fresh", chance, most)
    assert bare(visible(tmp_path, "store")) == bare(visible(tmp_path, "fresh"))


@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_ends_the_same(tmp_path, seed):
    check_history(tmp_path, seed)


@pytest.mark.parametrize(("seed", "most"), [(3, 2), (4, 1)])
def test_any_history_ends_the_same_with_so_many_videos_a_study(tmp_path, seed, most):
    check_history(tmp_path, seed, most)


@pytest.mark.slow
@pytest.mark.parametrize("most", [None, 2])
@pytest.mark.parametrize("seed", range(100, 140))
def test_any_history_ends_the_same_at_length(tmp_path, seed, most):
    check_history(tmp_path, seed, most)
