"""Maps of a real store: drawn, saved, shown as the store grows, without those who were deleted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from analytics.maps.inside import Area
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


def test_dots_are_coloured_by_what_is_known(atlas):
    later(atlas)
    drawn = atlas.draw_map("all", spec=MapSpec("pca"))
    colours = {each.name: each for each in atlas.map_colours("all")}
    assert {"island", "lvef_percent", "patient_age_years", "patient_sex", "site"} < {*colours}
    assert {"study_year", "outcome_mace", "outcome_death_other"} < {*colours}
    # The store knows of no procedure, no stenosis and no stroke.
    assert not {"prior_intervention", "outcome_stroke", "stenosis_percent@LAD"} & {*colours}
    island = atlas.map_picture("all")
    assert island.total == len(island) == 122
    assert sum(island.counts.values()) == 122
    on_none = int((drawn.dots["cluster"] == -1).sum())
    assert island.counts.get(colours["island"].otherwise, 0) == on_none
    studies = atlas.studies().set_index("study_uid")
    site = atlas.map_picture("all", colour="site").dots
    assert site["value"].astype(object).fillna("").tolist() == [
        studies["site"][uid] or "" for uid in site["study_uid"]
    ]
    year = atlas.map_picture("all", colour="study_year").dots
    assert [f"{date:%Y}" for date in year["study_date"].dropna()] == [
        f"{value:.0f}" for value in year["value"].dropna()
    ]
    assert "patient_id" not in year
    with pytest.raises(NotFoundError, match="nothing is known of 'prior_intervention'"):
        atlas.map_picture("all", colour="prior_intervention")
    with pytest.raises(NotFoundError, match="nothing is known of 'patient_id'"):
        atlas.map("all", colour="patient_id")


def test_outcomes_are_those_of_the_year_after_the_exam(atlas):
    atlas.draw_map("all", spec=MapSpec("pca"))
    found = atlas.map_picture("all", colour="outcome_mace")
    studies = atlas.studies().set_index("study_uid")
    events = atlas.labels("events").set_index("patient_id")
    last = atlas.labels("follow_up").set_index("patient_id")["last_known_date"]
    known = found.dots["value"].astype(object).fillna("").tolist()
    for uid, value in zip(found.dots["study_uid"], known, strict=True):
        who, day = studies.loc[uid, ["patient_id", "study_date"]]
        days, kind = (last[who] - day).days, ""
        if who in events.index:
            days, kind = (events["date"][who] - day).days, events["kind"][who]
        expected = "no event" if days >= 365 else ""
        if kind and days <= 365:
            expected = "event" if kind == "mi" else "other death"
        assert value == expected
    assert min(found.counts.values()) > 0


def test_interventions_and_stenoses_colour_dots_once_they_are_known(atlas, tmp_path):
    atlas.draw_map("all", spec=MapSpec("pca"))
    assert not [each.name for each in atlas.map_colours("all") if "@" in each.name]
    studies = atlas.studies()
    first, second = studies["study_uid"][:2]
    (tmp_path / "procedures.csv").write_text(
        f"patient_id,date,kind\n{studies['patient_id'][0]},2001-01-01,pci\n"
    )
    (tmp_path / "measurements.csv").write_text(
        "patient_id,study_uid,date,name,value,unit\n"
        f"{studies['patient_id'][0]},{first},{studies['study_date'][0]},"
        "stenosis_percent@prox_lad,80,%\n"
        f"{studies['patient_id'][0]},{first},{studies['study_date'][0]},"
        "stenosis_percent@D1,90,%\n"
        f"{studies['patient_id'][1]},{second},{studies['study_date'][1]},"
        "stenosis_percent@mid_rca,40,%\n"
    )
    atlas.import_labels([tmp_path / "procedures.csv", tmp_path / "measurements.csv"])

    def by_study(colour):
        found = atlas.map_picture("all", colour=colour)
        return found, found.dots.set_index("study_uid")["value"]

    names = [each.name for each in atlas.map_colours("all")]
    assert [name for name in names if "@" in name] == [
        "stenosis_percent@LAD",
        "stenosis_percent@RCA",
        "stenosis_percent@mid_rca",
        "stenosis_percent@prox_lad",
        "stenosis_percent@D1",
    ]
    found, lad = by_study("stenosis_percent@LAD")
    assert (lad[first], lad[second], lad.notna().sum()) == (90, 0, 2)
    assert found.scale == (0, 100)
    _, before = by_study("prior_intervention")
    assert before[first] == "yes"
    assert set(before[before.index != first]) == {"no"}


def test_studies_in_areas_are_of_all_dots_and_not_of_the_deleted(atlas):
    later(atlas)
    drawn = atlas.draw_map("videos", level="video", spec=MapSpec("pca")).dots
    low, high = drawn[["x", "y"]].min() - 1, drawn[["x", "y"]].max() + 1
    everywhere = Area((low["x"], high["x"]), (low["y"], high["y"]))
    assert atlas.studies_on_map("videos", [everywhere]) == sorted({*drawn["study_uid"]})
    middle = float(drawn["x"].median())
    left = Area((low["x"], middle, middle, low["x"]), (low["y"], low["y"], high["y"], high["y"]))
    of_left = {*drawn.loc[drawn["x"] < middle, "study_uid"]}
    assert {*atlas.studies_on_map("videos", [left])} == of_left
    cohort = atlas.choose_cohort(members=atlas.studies_on_map("videos", [left]), name="left")
    assert {*cohort.members["study_uid"]} <= of_left
    with pytest.raises(UsageError, match="101 areas"):
        atlas.studies_on_map("videos", [left] * 101)
    gone = drawn["patient_id"][0]
    theirs = {*drawn.loc[drawn["patient_id"] == gone, "study_uid"]}
    atlas.purge_patient(gone)
    assert theirs.isdisjoint(atlas.studies_on_map("videos", [everywhere]))
    shown = atlas.map_picture("videos", most=5)
    assert shown.density is not None
    assert shown.total == shown.density.counts.sum() < 123


def test_what_is_kept_of_a_map_is_not_the_callers_to_change(atlas):
    atlas.draw_map("all", spec=MapSpec("pca"))
    first = atlas.map("all")
    first.dots["x"] = 0.0
    first.picture.dots["value"] = None
    again = atlas.map("all")
    assert again.dots["x"].nunique() > 100
    assert again.picture.dots["value"].notna().any()
    # A map of the same name is another one after the first was dropped.
    atlas.drop_map("all")
    atlas.draw_map("all", level="video", spec=MapSpec("pca"))
    assert atlas.map_picture("all").about.level == "video"
