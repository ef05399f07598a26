"""A process that makes pictures, finds them again, and says if one is not whole.

python -m tests.support.picture_child FOLDER SECONDS
"""

from __future__ import annotations

import os
import random
import sys
import time
from functools import partial
from pathlib import Path

from angioatlas.picture_cache import PictureCache, picture_name

PICTURE_BYTES = 100_000
"""Of each, all bytes alike."""


def content(number: int) -> bytes:
    return bytes([number % 251]) * PICTURE_BYTES


def main() -> None:
    # Room for six of eight: both processes make room while the other reads.
    cache = PictureCache(Path(sys.argv[1]), most_bytes=6 * PICTURE_BYTES)
    until = time.monotonic() + float(sys.argv[2])
    made = found = 0
    chance = random.Random(os.getpid())
    while made + found < 100 or time.monotonic() < until:
        number = chance.randrange(8)
        name = picture_name("jpg", str(number), "commit", 16)
        path = cache.find(name)
        if path is None:
            path = cache.make(name, partial(draw, number=number))
            made += 1
        else:
            found += 1
        try:
            seen = path.read_bytes()
        except FileNotFoundError:  # the other process made room
            continue
        if seen != content(number):
            sys.exit(f"picture {number} is not whole: {len(seen)} bytes")
    sys.stdout.write(f"{made} {found}\n")


def draw(out: Path, number: int) -> None:
    with out.open("wb") as file:
        for half in (content(number)[: PICTURE_BYTES // 2], content(number)[PICTURE_BYTES // 2 :]):
            file.write(half)
            file.flush()


if __name__ == "__main__":
    main()
