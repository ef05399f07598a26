import time

import pytest

from embedder.stages import Stages


@pytest.mark.parametrize(
    ("seconds", "bound_by"),
    [
        ((0, 0, 0), None),
        ((5, 90, 5), "device"),
        ((12, 80, 8), "decode"),  # a queue that ever fills up waits for nothing
        ((70, 20, 10), "decode"),
        ((1, 40, 59), "write"),
    ],
)
def test_the_verdict_names_what_must_get_faster(seconds, bound_by):
    stages = Stages(*seconds)
    assert stages.bound_by == bound_by
    if bound_by:
        shares = [f"{share}%" for share in seconds]
        assert stages.verdict().startswith(f"bound by {bound_by}: {shares[0]} of the time")
        assert f"{shares[1]} on the device, {shares[2]} writing" in stages.verdict()
    else:
        assert stages.verdict() == "nothing was embedded"


def test_time_is_added_even_when_a_stage_fails():
    stages = Stages(write_s=1.0)

    def write():
        with stages.timed("write"):
            time.sleep(0.02)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write()
    stages.add(Stages(1, 2, 3))
    assert (stages.decode_s, stages.device_s) == (1, 2)
    assert 4.02 <= stages.write_s < 5
