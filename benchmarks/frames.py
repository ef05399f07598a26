"""Sixteen frames of the real cine against all 75 of them, decoded in turn in one run.

python -m benchmarks.frames
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.record import ROOT, write
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import claims_of
from embedder.dicom.header import open_regular, parse_header
from embedder.frames import read_frames
from embedder.sampling import frame_indices

CINE = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
REPEATS = 15


def seconds(wanted: list[int]) -> float:
    file, status = open_regular(CINE)
    with file:
        began = time.perf_counter()
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        read_frames(header, claims_of(header), wanted, profile="display")
        return time.perf_counter() - began


def main() -> dict[str, Any]:
    clip, whole = frame_indices(75), list(range(75))
    pairs = [(seconds(clip), seconds(whole)) for _ in range(REPEATS)]
    some, everything = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    figures = {
        "16 frames, median ms": some,
        "75 frames, median ms": everything,
        "share": some / everything,
        "repeats": REPEATS,
    }
    print("frames:", figures)
    write("frames", figures)
    return figures


if __name__ == "__main__":
    main()
