from pathlib import Path

import pytest

from angioatlas.choose import AS_IT_IS, Choice
from angioatlas.instances import resolve_instances
from angioatlas.plan import Choosing, Found, plan_studies, refuse, settle
from core.outcomes import Code, InputRefused, Status
from core.schema import MAX_STUDY_CINES
from embedder.discover import Offered
from embedder.runs import Classified, RunFacts, facts_of
from store.inputs import Ledger, rows_to_arrow
from tests.support.cines import make_cine


def found(sop, study="1.2.3", uri=None, facts=None, **changes):
    uri = uri or f"file:///archive/{sop}"
    cine = make_cine(sop, study, source_uri=uri, **changes)
    return Found(
        Offered(
            path=Path(uri.removeprefix("file://")), uri=uri, size=10, mtime_ns=20, refusal=None
        ),
        cine,
        facts or facts_of(cine),
    )


def ledger_of(*rows):
    return Ledger(rows_to_arrow(rows, run_id="r", commit_id="c"))


def resolve(found, rows=(), hash_files=None, dropped=()):
    return resolve_instances(
        found, ledger=ledger_of(*rows), dropped=set(dropped), hash_files=hash_files or never
    )


def embedded(each, sha256="aa"):
    return settle(each.offered, Status.EMBEDDED, cine=each.cine, sha256=sha256)


def hasher(digests):
    def hash_files(paths):
        return [digests[str(path)] for path in paths]

    return hash_files


def never(paths):
    assert not paths
    return []


def test_unknown_instances_are_fresh_without_hashing():
    one, two = found("1"), found("2")
    assert resolve([one, two]) == ([one, two], [])


def test_second_file_of_an_instance_is_a_duplicate_or_a_conflict():
    one, copy, other = (
        found("1"),
        found("1", uri="file:///archive/copy"),
        found("1", uri="file:///archive/other"),
    )
    digests = {"/archive/1": "aa", "/archive/copy": "aa", "/archive/other": "bb"}
    fresh, settled = resolve([one, copy, other], hash_files=hasher(digests))
    assert fresh == [one]
    assert [(row.uri, row.status, row.code) for row in settled] == [
        ("file:///archive/copy", Status.DUPLICATE, Code.SAME_INSTANCE),
        ("file:///archive/other", Status.QUARANTINED, Code.UID_CONFLICT),
    ]
    assert "file:///archive/1" in settled[1].message


def test_touched_file_is_noted_and_changed_file_is_fresh():
    touched, changed = found("1"), found("2")
    rows = [embedded(each) for each in (touched, changed)]
    digests = {"/archive/1": "aa", "/archive/2": "cc"}
    fresh, settled = resolve([touched, changed], rows, hasher(digests))
    assert fresh == [changed]
    assert [(row.uri, row.status, row.sha256) for row in settled] == [
        ("file:///archive/1", Status.EMBEDDED, "aa")
    ]


def test_a_copy_takes_the_place_of_a_file_that_left():
    copy = found("1", uri="file:///archive/copy")
    fresh, settled = resolve([copy], [embedded(found("1"))], dropped=["file:///archive/1"])
    assert (fresh, settled) == ([copy], [])


def test_file_that_cannot_be_hashed_is_refused():
    copy = found("1", uri="file:///archive/copy")
    digests = {"/archive/copy": InputRefused(Code.UNREADABLE)}
    fresh, settled = resolve([copy], [embedded(found("1"))], hasher(digests))
    assert fresh == []
    assert [row.code for row in settled] == [Code.UNREADABLE]


def plan(
    fresh,
    before=(),
    *,
    dropped=(),
    known_studies=(),
    in_space=("1.2.3",),
    left_out=(),
    choice=AS_IT_IS,
    reselected=(),
    idle=(),
):
    facts = {each.cine.sop_uid: each.facts for each in before}
    stored = {"1.2.3": tuple(each.cine for each in before)} if before else {}
    return plan_studies(
        fresh,
        current=lambda uids: {uid: stored[uid] for uid in uids if uid in stored},
        dropped=dict.fromkeys(dropped, "1.2.3"),
        settled=[],
        ledger=ledger_of(*(embedded(each) for each in before), *left_out),
        known_studies=known_studies,
        in_space=in_space,
        choosing=Choosing(
            choice,
            lambda cines: {cine.sop_uid: facts[cine.sop_uid] for cine in cines},
            studies=reselected,
            idle=idle,
        ),
    )


def work(plan):
    return [(study.study_uid, [cine.sop_uid for cine in study.cines]) for study in plan.work]


def test_a_study_is_embedded_as_a_whole_in_its_order():
    before = [found("2", series_time="100000.000000"), found("3", series_time="120000.000000")]
    fresh = [found("1", series_time="110000.000000")]
    assert work(plan(fresh, before)) == [("1.2.3", ["2", "1", "3"])]


def test_nothing_new_is_no_work():
    assert work(plan([], [found("1")], known_studies=["1.2.3"])) == []


def test_a_study_without_vectors_of_this_encoder_is_work():
    before = [found("1")]
    assert work(plan([], before, known_studies=["1.2.3"], in_space=())) == [("1.2.3", ["1"])]


@pytest.mark.parametrize(("left", "remaining"), [(["1"], ["2"]), (["1", "2"], [])])
def test_a_study_that_lost_files_is_work(left, remaining):
    before = [found("1"), found("2")]
    dropped = [f"file:///archive/{sop}" for sop in left]
    assert work(plan([], before, dropped=dropped)) == [("1.2.3", remaining)]


def test_a_file_that_now_holds_another_instance_takes_the_old_one_out():
    before = [found("1"), found("2")]
    fresh = [found("9", uri="file:///archive/1")]
    assert work(plan(fresh, before)) == [("1.2.3", ["2", "9"])]


def test_the_row_of_a_file_that_left_is_written_with_its_study():
    made = plan([], [found("1"), found("2")], dropped=["file:///archive/1"])
    assert made.settled == []
    assert [row.uri for row in made.work[0].dropped] == ["file:///archive/1"]


def test_a_study_belongs_to_one_patient():
    before = [found("1", patient_id="p1")]
    fresh = [found("2", patient_id="p2"), found("3", patient_id="?", patient_known=False)]
    made = plan(fresh, before)
    assert work(made) == [("1.2.3", ["1", "3"])]
    assert {cine.patient_id for cine in made.work[0].cines} == {"p1"}
    assert [(row.uri, row.code) for row in made.settled] == [
        ("file:///archive/2", Code.PATIENT_CONFLICT)
    ]


def test_an_impossibly_large_study_is_cut_and_the_rest_quarantined():
    fresh = [found(str(i), instance_number=i) for i in range(MAX_STUDY_CINES + 3)]
    made = plan(fresh)
    assert len(made.work[0].cines) == MAX_STUDY_CINES
    assert [(row.code, row.sop_uid) for row in made.settled] == [
        (Code.TOO_MANY_CINES, str(i)) for i in range(MAX_STUDY_CINES, MAX_STUDY_CINES + 3)
    ]


RULES = Choice(min_frames=8)
SHORT = RunFacts(n_frames=3)


def there(tmp_path, sop, **changes):
    """Find a run in a file that exists."""
    path = tmp_path / sop
    path.touch()
    return found(sop, uri=path.as_uri(), **changes)


def codes(rows):
    return {row.sop_uid: row.code for row in rows}


def left_out_before(each, code=Code.TOO_FEW_FRAMES):
    return refuse(each.offered, InputRefused(code), each.cine)


def test_a_new_run_that_a_rule_leaves_out_is_no_work():
    made = plan([found("1", facts=SHORT)], [found("2")], choice=RULES)
    assert work(made) == []
    assert codes(made.settled) == {"1": Code.TOO_FEW_FRAMES}
    assert made.offered == {}


def test_the_row_of_a_left_out_run_is_written_with_its_study():
    made = plan([found("1"), found("2", facts=SHORT)], choice=RULES)
    assert work(made) == [("1.2.3", ["1"])]
    assert made.settled == []
    assert codes(made.work[0].dropped) == {"2": Code.TOO_FEW_FRAMES}
    assert set(made.offered) == {"file:///archive/1"}


def test_a_study_that_changes_is_decided_as_a_whole(tmp_path):
    before = [there(tmp_path, "2", facts=SHORT), found("3")]
    made = plan([found("1")], before, choice=RULES)
    assert work(made) == [("1.2.3", ["1", "3"])]
    assert codes(made.work[0].dropped) == {"2": Code.TOO_FEW_FRAMES}


def test_a_study_is_decided_anew_when_it_is_asked_for():
    before = [found("2", facts=SHORT), found("3")]
    assert work(plan([], before, choice=RULES)) == []
    made = plan([], before, choice=RULES, reselected=["1.2.3"])
    assert work(made) == [("1.2.3", ["3"])]
    assert work(plan([], before, choice=AS_IT_IS, reselected=["1.2.3"])) == []


def test_a_run_left_out_before_comes_back_when_no_rule_speaks_any_more():
    back = found("1")
    made = plan([back], [found("2")], left_out=[left_out_before(back)], choice=RULES)
    assert work(made) == [("1.2.3", ["1", "2"])]


def test_a_run_that_stays_out_for_the_same_reason_writes_nothing():
    out = found("1", facts=SHORT)
    first = plan([out], choice=RULES)
    again = plan([out], [found("2")], left_out=first.settled, choice=RULES)
    assert (again.work, again.settled) == ([], [])


def test_a_run_without_contrast_is_no_reason_but_goes_along():
    dark = found("1")
    known = {"left_out": [left_out_before(dark, Code.NO_CONTRAST)], "idle": [dark.offered.uri]}
    made = plan([dark], [found("2")], choice=RULES, **known)
    assert (made.work, made.settled, made.offered) == ([], [], {})
    made = plan([dark, found("3")], [found("2")], choice=RULES, **known)
    assert work(made) == [("1.2.3", ["1", "2", "3"])]


def test_a_study_that_loses_all_runs_to_the_rules_leaves_the_store(tmp_path):
    before = [there(tmp_path, "1", facts=SHORT)]
    made = plan([], before, choice=RULES, reselected=["1.2.3"])
    assert work(made) == [("1.2.3", [])]
    assert codes(made.work[0].dropped) == {"1": Code.TOO_FEW_FRAMES}


def test_the_first_runs_are_kept_and_refused_ones_take_no_place():
    two = Choice(min_frames=8, videos_per_study=2)
    fresh = [
        found("1", instance_number=1, facts=SHORT),
        found("2", instance_number=2),
        found("3", instance_number=3, patient_id="p2"),
        found("4", instance_number=4),
        found("5", instance_number=5),
    ]
    made = plan(fresh, choice=two)
    assert work(made) == [("1.2.3", ["2", "4"])]
    assert codes(made.settled) == {"3": Code.PATIENT_CONFLICT}
    assert codes(made.work[0].dropped) == {
        "1": Code.TOO_FEW_FRAMES,
        "5": Code.OVER_VIDEOS_PER_STUDY,
    }


def test_an_earlier_run_takes_the_place_of_an_embedded_one(tmp_path):
    two = Choice(min_frames=8, videos_per_study=2)
    before = [found("2", instance_number=2), there(tmp_path, "3", instance_number=3)]
    made = plan([found("1", instance_number=1)], before, choice=two)
    assert work(made) == [("1.2.3", ["1", "2"])]
    assert codes(made.work[0].dropped) == {"3": Code.OVER_VIDEOS_PER_STUDY}


def test_another_encoder_takes_the_study_as_it_is():
    before = [found("1", facts=SHORT), found("2")]
    made = plan([], before, known_studies=["1.2.3"], in_space=(), choice=RULES)
    assert work(made) == [("1.2.3", ["1", "2"])]
    assert made.contrast_seen == {"1", "2"}  # nor is anything measured


def test_contrast_that_a_classifier_saw_need_not_be_measured():
    seen = Choice(classified={"1": Classified(contrast=True)})
    assert plan([found("1"), found("2")], choice=seen).contrast_seen == {"1"}
