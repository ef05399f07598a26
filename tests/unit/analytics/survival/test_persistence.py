"""A model that is saved and read says the same; anything else is refused."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import skops.io

from analytics.model_files import ModelError
from analytics.survival.models import KINDS, ModelSpec, fit
from analytics.survival.persistence import dump_model, load_model
from tests.support.cohorts import world

DRAWN = world(400, seed=1)


def sha(payload):
    return hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives(kind):
    model = fit(ModelSpec(kind, components=(4,)), DRAWN.x, DRAWN.times, DRAWN.patient)
    payload = dump_model(model, np.array([0.1, 0.3]))
    again, thresholds = load_model(payload, sha256=sha(payload))
    assert again.spec == model.spec
    assert dict(again.chosen) == dict(model.chosen)
    np.testing.assert_array_equal(thresholds, [0.1, 0.3])
    np.testing.assert_array_equal(again.scores(DRAWN.x), model.scores(DRAWN.x))
    np.testing.assert_array_equal(
        again.risks(DRAWN.x[:50], [180, 365]), model.risks(DRAWN.x[:50], [180, 365])
    )


def test_bytes_that_are_others_are_refused():
    with pytest.raises(ModelError, match="its bytes do not give its id"):
        load_model(b"abc", sha256="0" * 64)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(b"abc", sha256=sha(b"abc"))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch /tmp/harm",)


def test_what_could_run_code_is_refused_before_it_is_read():
    payload = skops.io.dumps({"format": 1, "estimator": Harmful()})
    with pytest.raises(ModelError, match=r"holds what no model holds: .*"):
        load_model(payload, sha256=sha(payload))
    other = skops.io.dumps({"format": 99})
    with pytest.raises(ModelError, match="has format 99, this software reads 1"):
        load_model(other, sha256=sha(other))
