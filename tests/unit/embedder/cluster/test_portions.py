import pytest

from core.outcomes import Code, Status
from embedder.cluster.portions import TRIES, Portion, cut
from embedder.work import CineToRead, StudyToEmbed
from tests.support.cines import make_cine


def study(uid, cines=1):
    wanted = [CineToRead(make_cine(f"{uid}.{n}", uid), 1, 2) for n in range(cines)]
    return StudyToEmbed(uid, tuple(wanted))


@pytest.mark.parametrize(
    ("sizes", "most", "cut_to"),
    [
        ([], 4, []),
        ([1], 4, [[1]]),
        ([1, 1, 1, 1, 1], 2, [[1, 1], [1, 1], [1]]),
        ([3, 1, 9, 1], 4, [[3, 1], [9], [1]]),
        ([2, 2, 2], 1, [[2], [2], [2]]),
    ],
)
def test_portions_hold_whole_studies_in_order(sizes, most, cut_to):
    studies = [study(f"1.{n}", size) for n, size in enumerate(sizes)]
    portions = list(cut(studies, cines=most))
    assert [[len(each.cines) for each in portion.studies] for portion in portions] == cut_to
    assert [each for portion in portions for each in portion.studies] == studies
    assert [portion.name for portion in portions] == [f"{n:06d}" for n in range(len(portions))]


def test_studies_are_taken_a_portion_at_a_time():
    taken = []

    def offered():
        for number in range(10):
            taken.append(number)
            yield study(f"1.{number}")

    next(cut(offered(), cines=3))
    assert taken == [0, 1, 2]


def test_what_was_lost_is_done_again_study_by_study_under_names_of_its_own():
    first = Portion("000004", (study("1.1"), study("1.2", 2)))
    again = list(first.again())
    assert [(p.name, [s.study_uid for s in p.studies], p.lost) for p in again] == [
        ("000004-000", ["1.1"], 1),
        ("000004-001", ["1.2"], 1),
    ]
    (third,) = again[1].again()
    assert (third.name, third.lost) == ("000004-001", 2)


def test_a_study_is_given_up_after_three_processes():
    portion = Portion("000000", (study("1.7", 2),))
    for lost in range(TRIES):
        assert (portion.lost, portion.is_given_up) == (lost, False)
        (portion,) = portion.again()
    assert portion.is_given_up
    (refused,) = portion.refused()
    assert (refused.study_uid, refused.cines, refused.embedding) == ("1.7", (), None)
    assert [cine.sop_uid for cine, _ in refused.refused] == ["1.7.0", "1.7.1"]
    assert {refusal.reason for _, refusal in refused.refused} == {Code.ENCODER_CRASHED}
    assert {refusal.status for _, refusal in refused.refused} == {Status.QUARANTINED}
