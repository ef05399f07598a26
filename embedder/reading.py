"""Cines to clips, in the guarded workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import Final, TypeVar

from core.outcomes import Code, InputRefused
from core.uris import path_of
from embedder.frames import Clip
from embedder.guard.pool import GuardedPool
from embedder.inputs import CineFile, read_input_clip
from embedder.sampling import ClipRule
from embedder.work import CineToRead

_AHEAD_PER_WORKER: Final = 4

Key = TypeVar("Key")


def read_clips(
    cines: Iterable[tuple[Key, CineToRead]], *, pool: GuardedPool, rule: ClipRule
) -> Generator[tuple[Key, Clip | InputRefused], None, None]:
    """Read the clip of each cine, in order.

    Parameters
    ----------
    cines : iterable of (key, CineToRead)
        Consumed lazily, four for each worker ahead of what is yielded.
    pool : GuardedPool
    rule : ClipRule
        How clips are made of cines.

    Yields
    ------
    tuple of (key, Clip or InputRefused)
        A file whose size or time is no longer that of its header is refused, and so is a clip
        whose contrast signal is too low.
    """
    waiting: deque[tuple[Key, CineToRead]] = deque()

    def files() -> Iterator[CineFile]:
        for key, wanted in cines:
            waiting.append((key, wanted))
            cine = wanted.cine
            yield CineFile(path_of(cine.source_uri), cine.n_frames, cine.frame_time_ms)

    read = partial(read_input_clip, rule=rule)
    ahead = pool.workers * _AHEAD_PER_WORKER
    for _, clip in pool.map(read, files(), ahead=ahead, fallback=Code.DECODE_FAILED):
        key, wanted = waiting.popleft()
        yield key, clip if isinstance(clip, InputRefused) else _judged(clip, wanted)


def _judged(clip: Clip, wanted: CineToRead) -> Clip | InputRefused:
    if (clip.size, clip.mtime_ns) != (wanted.size, wanted.mtime_ns):
        return InputRefused(Code.CHANGED_WHILE_READ, "it changed after its header was read")
    if clip.contrast < wanted.min_contrast:
        return InputRefused(
            Code.NO_CONTRAST,
            f"contrast signal {clip.contrast:.2f}, expected {wanted.min_contrast:g} or more",
        )
    return clip
