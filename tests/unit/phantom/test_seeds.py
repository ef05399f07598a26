"""Which seeds are for what, and that every purpose draws for itself."""

from itertools import combinations, product

from phantom.seeds import DEMO_SEEDS, EVALUATION_SEEDS, TRAINING_SEEDS, Purpose, generator


def test_no_seed_is_for_two_things():
    for one, other in combinations((TRAINING_SEEDS, EVALUATION_SEEDS, DEMO_SEEDS), 2):
        assert not set(one) & set(other)


def test_the_same_numbers_give_the_same_draws():
    drawn = [generator(3, 1, Purpose.DISEASE, 2).random() for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_other_numbers_give_other_draws():
    places = product((1, 2), (0, 1), Purpose)
    drawn = [generator(seed, index, purpose).random() for seed, index, purpose in places]
    drawn += [generator(1, 0, Purpose.PICTURES, exam).random() for exam in (1, 2)]
    assert len(set(drawn)) == 4 * len(Purpose) + 2
