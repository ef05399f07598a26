"""A server without what it serves: an encoder process and a worker, until it is killed."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

from api.orphans import end_with_parent
from embedder.encoders.served.process import EncoderProcess
from embedder.encoders.served.service import ServiceOptions


def work():
    end_with_parent()
    time.sleep(60)


if __name__ == "__main__":
    state = Path(sys.argv[1])
    with EncoderProcess(state, ServiceOptions(str(state), "cpu", 1, 10)) as encoder:
        worker = multiprocessing.get_context("spawn").Process(target=work)
        worker.start()
        sys.stdout.write(f"{encoder.pid} {worker.pid}\n")
        sys.stdout.flush()
        time.sleep(60)
