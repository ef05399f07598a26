from hypothesis import given
from hypothesis import strategies as st

from angioatlas.choose import AS_IT_IS, Choice
from core.outcomes import Code
from embedder.runs import Classified, RunFacts, Structure
from tests.support.cines import make_cine

LEFT, RIGHT, LV = Structure.LEFT_CORONARY, Structure.RIGHT_CORONARY, Structure.LV
GOOD = RunFacts(n_frames=60)


def codes(choice, runs):
    return {sop: refusal.reason for sop, refusal in choice.refusals(runs).items()}


def study(*said):
    """Make runs "0", "1", ... in study order and a choice by what a classifier said of them."""
    runs = [(make_cine(str(i), instance_number=i), GOOD) for i in range(len(said))]
    table = {str(i): each for i, each in enumerate(said) if each is not None}
    return Choice(min_frames=8, classified=table), runs


def test_runs_after_a_stent_are_left_out_on_the_same_side():
    choice, runs = study(
        Classified(LEFT, True, False),
        Classified(LEFT, True, True),
        Classified(RIGHT, True, False),
        Classified(LEFT, True, False),
    )
    assert codes(choice, runs) == {"1": Code.AFTER_INTERVENTION, "3": Code.AFTER_INTERVENTION}


def test_a_run_of_unknown_side_is_after_any_stent_and_a_stent_of_unknown_side_before_any_run():
    choice, runs = study(Classified(RIGHT, stent=True), None, Classified(LEFT, True))
    assert codes(choice, runs) == {"0": Code.AFTER_INTERVENTION, "1": Code.AFTER_INTERVENTION}
    choice, runs = study(Classified(stent=True), Classified(LEFT), Classified(RIGHT), None)
    assert set(codes(choice, runs)) == {"0", "1", "2", "3"}


def test_a_stent_counts_in_a_run_that_is_left_out_itself():
    choice, runs = study(Classified(LV, stent=True), Classified(LEFT, True))
    assert codes(choice, runs) == {"0": Code.OTHER_STRUCTURE, "1": Code.AFTER_INTERVENTION}


def test_only_earlier_runs_count_whatever_their_order_of_arrival():
    choice, runs = study(Classified(LEFT), Classified(LEFT, stent=True), None)
    assert set(codes(choice, runs[::-1])) == {"1", "2"}


def test_without_a_table_the_header_decides():
    runs = [(make_cine("1"), GOOD), (make_cine("2"), RunFacts(n_frames=3))]
    assert codes(Choice(min_frames=8), runs) == {"2": Code.TOO_FEW_FRAMES}
    assert codes(Choice(min_frames=8, all_runs=True), runs) == {}


def test_the_first_runs_of_a_study_are_kept():
    cines = [make_cine(str(i)) for i in range(4)]
    assert AS_IT_IS.over(cines) == {}
    over = Choice(videos_per_study=2, all_runs=True).over(cines)
    assert {sop: refusal.message for sop, refusal in over.items()} == {
        "2": "run 3 of its study, expected 2 at the most",
        "3": "run 4 of its study, expected 2 at the most",
    }


def test_who_says_that_contrast_is_there():
    choice = Choice(classified={"1": Classified(contrast=True), "2": Classified(LEFT)})
    assert [choice.saw_contrast(sop) for sop in ("1", "2", "3")] == [True, False, False]
    assert AS_IT_IS.saw_contrast("3")


SAID = st.none() | st.builds(
    Classified, st.none() | st.sampled_from([LEFT, RIGHT, LV]), st.none(), st.none() | st.booleans()
)


@given(st.lists(SAID, max_size=8), st.randoms())
def test_a_run_is_after_a_stent_exactly_if_an_earlier_one_may_be_of_its_side(said, random):
    choice, runs = study(*said)
    random.shuffle(runs)
    found = codes(choice, runs)
    sides = [None if each is None else each.side for each in said]
    for i, each in enumerate(said):
        earlier = [
            j
            for j in range(i)
            if said[j] is not None
            and said[j].stent
            and (sides[i] is None or sides[j] is None or sides[i] is sides[j])
        ]
        own = each is not None and each.stent
        if each is None or each.structure is not LV:
            assert (found.get(str(i)) is Code.AFTER_INTERVENTION) == bool(own or earlier)
