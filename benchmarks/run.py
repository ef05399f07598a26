"""Run every benchmark, one after the other (`make bench`)."""

from __future__ import annotations

from benchmarks import decoders, encode, frames, search, study

if __name__ == "__main__":
    decoders.main()
    frames.main()
    encode.main()
    study.main()
    search.main()
