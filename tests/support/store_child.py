"""A process that does something to a store and is killed (SIGKILL) right after a chosen write.

python -m tests.support.store_child STORE commit|compact|purge STEP
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys

from store.maintain import compact, purge_patient
from store.store import Store
from tests.support.store_cases import batch

BEFORE = {"P1.a": ["1", "2"], "P2.a": ["3"], "P3.a": ["4", "5"]}
CHANGE = {"P1.a": ["1", "6"], "P3.a": [], "P4.a": ["7"]}


def commit_change(store: Store, on_step) -> None:
    with store.writer("change", on_step=on_step) as writer:
        writer.commit(batch(CHANGE, skipped=["/archive/readme.txt"]))
        # A space that the store does not know yet.
        writer.commit(batch(CHANGE, encoder_id="enc-b", facts=False))


def act(store: Store, what: str, on_step) -> None:
    if what == "commit":
        commit_change(store, on_step)
    elif what == "compact":
        compact(store, keep_versions=1, grace=dt.timedelta(0), on_step=on_step)
    else:
        purge_patient(store, "P1", on_step=on_step)


def main() -> None:
    where, what, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
    done = 0

    def on_step(_: str) -> None:
        nonlocal done
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    act(Store.open(where), what, on_step)


if __name__ == "__main__":
    main()
