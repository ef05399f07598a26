import os
import signal

import pytest

from angioatlas.stopping import Stop


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_one_ends(number):
    stop, told = Stop(), []
    before = signal.getsignal(number)
    with stop.by_signals(lambda: told.append(1)), stop.finishing():
        send(number)
        assert (stop.asked, told) == (True, [1])
        with pytest.raises(KeyboardInterrupt):
            send(number)
    assert signal.getsignal(number) is before


def test_a_signal_that_finds_nothing_to_finish_ends():
    stop = Stop()
    with stop.by_signals(lambda: None):
        with stop.finishing():
            pass
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
    assert not stop.asked
