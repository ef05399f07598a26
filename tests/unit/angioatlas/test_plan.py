from pathlib import Path

import pytest

from angioatlas.plan import Found, plan_studies, resolve_instances, settle
from core.outcomes import Code, InputRefused, Status
from core.schema import MAX_STUDY_CINES
from embedder.discover import Offered
from store.inputs import Ledger, rows_to_arrow
from tests.support.cines import make_cine


def found(sop, study="1.2.3", uri=None, **changes):
    uri = uri or f"file:///archive/{sop}"
    cine = make_cine(sop, study, source_uri=uri, **changes)
    return Found(
        Offered(
            path=Path(uri.removeprefix("file://")), uri=uri, size=10, mtime_ns=20, refusal=None
        ),
        cine,
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


def plan(fresh, before=(), *, dropped=(), known_studies=(), in_space=("1.2.3",)):
    stored = {"1.2.3": tuple(each.cine for each in before)} if before else {}
    return plan_studies(
        fresh,
        current=lambda uids: {uid: stored[uid] for uid in uids if uid in stored},
        dropped=set(dropped),
        settled=[],
        ledger=ledger_of(*(embedded(each) for each in before)),
        known_studies=known_studies,
        in_space=in_space,
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
