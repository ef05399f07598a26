"""Run every benchmark, one after the other (`make bench`)."""

from __future__ import annotations

from benchmarks import decoders, encode, frames, search

if __name__ == "__main__":
    decoders.main()
    frames.main()
    encode.main()
    search.main()
