"""Maps of a real store: drawn, saved, shown as the store grows, without those who were deleted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from analytics.maps.projection import MapSpec
from angioatlas.atlas import Atlas
from core.errors import NotFoundError, UsageError
from tests.support.store_cases import batch
from tests.support.survival_store import ENCODER, survival_store


@pytest.fixture
def atlas(tmp_path):
    folder = tmp_path / "atlas"
    survival_store(folder, 120, seed=1)
    atlas = Atlas.open(folder)
    atlas.import_labels([folder.with_name("atlas-labels")])
    return atlas


def later(atlas: Atlas) -> None:
    """Embed two more studies into the same space."""
    studies = {"P1.a": ["P1.a.1", "P1.a.2"], "P2.a": ["P2.a.1"]}
    with atlas.store.writer("later") as writer:
        writer.commit(batch(studies, encoder_id=ENCODER))


def test_what_comes_later_is_placed_and_the_rest_stays_where_it_was(atlas):
    first = atlas.draw_map("all")
    assert len(first.dots) == 120
    assert not first.dots["placed"].any()
    later(atlas)
    now = atlas.map("all")
    assert now.dots["placed"].sum() == 2
    assert now.gone == 0
    both = first.dots.merge(now.dots, on="uid")
    np.testing.assert_array_equal(both["x_x"], both["x_y"])
    assert np.isfinite(now.dots[["x", "y"]]).all(axis=None)
    # On which version it was drawn is told, and the same map drawn again is the same.
    assert now.about["drawn from store version"] < now.about["shown at store version"]
    again = atlas.draw_map("again", spec=MapSpec(landmarks=100, seed=3))
    assert len(again.dots) == 122
    assert atlas.maps()["name"].tolist() == ["again", "all"]


def test_videos_and_components_are_drawn_too(atlas):
    later(atlas)
    videos = atlas.draw_map("videos", level="video", spec=MapSpec("pca"))
    assert len(videos.dots) == 123
    assert videos.dots["study_uid"].nunique() == 122
    shown = atlas.map("videos")
    np.testing.assert_array_equal(shown.dots["x"], videos.dots["x"])


def test_a_cohort_is_drawn_and_everybody_else_placed(atlas):
    women = atlas.choose_cohort(where="patient_sex = 'F'")
    found = atlas.draw_map("women", cohort=women)
    assert (~found.dots["placed"]).sum() == len(women.members)
    assert len(found.dots) == 120


def test_the_deleted_are_on_no_map(atlas):
    drawn = atlas.draw_map("all")
    who = drawn.dots["patient_id"][0]
    atlas.purge_patient(who)
    shown = atlas.map("all")
    assert who not in set(shown.dots["patient_id"])
    assert len(shown.dots) == 119
    files = (atlas.store.path / "tables" / "projections.lance").rglob("*")
    assert not any(who.encode() in file.read_bytes() for file in files if file.is_file())


def test_an_export_has_the_dots_and_the_members_of_cohorts(atlas, tmp_path):
    drawn = atlas.draw_map("all")
    atlas.choose_cohort(where="patient_sex = 'F'", name="women")
    atlas.choose_cohort(where="true", name="everybody")
    report = atlas.export(tmp_path / "out.duckdb")
    assert report.saved["projections"] == 120
    document = (Path(__file__).parents[2] / "docs/export.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", document, flags=re.DOTALL)
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as connection:
        dots = connection.sql("select uid, x from projections order by uid").fetchall()
        assert dots == sorted(zip(drawn.dots["uid"], drawn.dots["x"], strict=True))
        ((one, other, both),) = next(
            connection.sql(block).fetchall() for block in blocks if "from cohorts" in block
        )
        women = len(atlas.cohort("women").members)
        assert (one, other, both) == ("everybody", "women", women)
        middles = next(
            connection.sql(block).fetchall() for block in blocks if "from projections" in block
        )
        assert sum(row[-1] for row in middles) == 120
    some = atlas.export(tmp_path / "women", cohort="women", format="csv")
    assert some.saved == {"cohorts": women, "projections": women, "progression": 0}
    assert some.cohort_id == atlas.cohort("women").cohort_id
    with pytest.raises(UsageError, match="the cohort is of store version"):
        Atlas(atlas.store, atlas.settings, version=0).export(tmp_path / "x.db", cohort="women")


def test_a_page_and_errors(atlas, tmp_path):
    drawn = atlas.draw_map("all")
    page, beside = drawn.write(tmp_path / "map.html")
    assert "Research use only" in page.read_text(encoding="utf-8")
    told = json.loads(beside.read_text(encoding="utf-8"))
    assert told["quality"]["rows"] == 120
    assert sum(row["dots"] for row in told["sizes"]) == 120
    with pytest.raises(UsageError, match="'all' is the name of another one"):
        atlas.draw_map("all", spec=MapSpec(seed=5))
    with pytest.raises(NotFoundError, match="there is no map 'none'; there are all"):
        atlas.map("none")
    atlas.drop_map("all")
    assert atlas.maps().empty
