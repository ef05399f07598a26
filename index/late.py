"""Scores of studies made of their videos: late interaction, and the mean vector.

Late interaction keeps the videos of a study apart until the end: each video of the query meets the
most similar video of the other study, and the cosines of these pairs are averaged.  It is the
"MaxSim" of ColBERT (Khattab and Zaharia, SIGIR 2020), with videos in place of words and a mean in
place of a sum, so that a score stays between −1 and 1.  Of a query of one vector, such as a text,
it is the best matching video.

A scan in float32 nominates; nominees are scored again in float64, so that the ranking is that of a
full scan in float64, equal scores by row.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from core.errors import UsageError
from core.schema import EMBEDDING_DIM
from index.engines import ROUNDING_BOUND
from index.search import exact_scores

_COSINES: Final = 4_000_000
"""Cosines held at once in a scan: 16 MB."""

Ranked = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Rows, best first, and their scores."""


@final
class StudyVideos:
    """The videos of many studies.

    Parameters
    ----------
    videos : array [n, 512], float32
        L2-normalised; those of a study stand together.
    starts : array [studies], int64
        Where the videos of each study begin, in ascending order; each study has at least one.

    Raises
    ------
    UsageError
        A study has no video, or there are videos before the first.
    """

    def __init__(self, videos: NDArray[np.float32], starts: NDArray[np.int64]) -> None:
        ends = np.append(starts[1:], len(videos))
        if (len(starts) == 0) != (len(videos) == 0) or starts[:1].any() or (ends <= starts).any():
            raise UsageError("each study has videos of its own: starts ascend from 0")
        self.videos = videos
        self.starts = starts
        self.ends = ends

    def __len__(self) -> int:
        return len(self.starts)

    def of(self, study: int) -> NDArray[np.float32]:
        """Return the videos of a study, [m, 512]."""
        return self.videos[self.starts[study] : self.ends[study]]

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """The L2-normalised mean of the videos of each study, [studies, 512]."""
        counts = self.ends - self.starts
        sums = np.zeros((len(self), EMBEDDING_DIM))
        # The first video of every study, the second of those that have it ...: `reduceat` over
        # rows takes many times as long.
        for place in range(counts.max(initial=0)):
            having = counts > place
            sums[having] += self.videos[self.starts[having] + place]
        return unit(sums)

    def late_scores(self, query: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the late interaction of a query with each study, within `ROUNDING_BOUND`.

        Parameters
        ----------
        query : array [q, 512], float32
            L2-normalised, at least one.

        Returns
        -------
        array [studies], float64
            Mean over the query's videos of the highest cosine with a video of the study; −1 to 1,
            higher is more similar.
        """
        total = np.zeros(len(self))
        step = max(1, _COSINES // max(len(self.videos), 1))
        for i in range(0, len(query), step):
            cosines = query[i : i + step] @ self.videos.T
            total += np.maximum.reduceat(cosines, self.starts, axis=1).sum(axis=0, dtype=np.float64)
        return total / len(query)

    def rank_late(
        self, query: NDArray[np.float32], *, k: int, include: NDArray[np.bool_]
    ) -> Ranked:
        """Return the `k` studies of highest late interaction, among those of `include`."""
        rows = np.flatnonzero(include)
        if not len(rows):
            return rows, np.empty(0)
        about = self.late_scores(query)[rows]
        k = min(k, len(rows))
        kth = np.partition(about, len(about) - k)[len(about) - k]
        rows = rows[about >= kth - 2 * ROUNDING_BOUND]
        scores = np.array([late_pairs(query, self.of(row))[1].sum() for row in rows])
        return _best(rows, scores, k)

    def rank_mean(
        self, query: NDArray[np.float64], *, k: int, include: NDArray[np.bool_]
    ) -> Ranked:
        """Return the `k` studies whose mean vector is nearest to `query` [512], normalised."""
        rows = np.flatnonzero(include)
        return _best(rows, (self.means[rows] * query).sum(axis=1), k)


def late_pairs(
    query: NDArray[np.float32], videos: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which video of a study each video of a query meets, and what the pair contributes.

    Parameters
    ----------
    query : array [q, 512], float32
    videos : array [m, 512], float32
        Of one study.

    Returns
    -------
    best : array [q], int64
        Row of `videos`; of equal ones the first.
    contributions : array [q], float64
        Cosine divided by q; their sum is the score.
    """
    cosines = np.stack([exact_scores(videos, each) for each in query])
    best = cosines.argmax(axis=1)
    return best, cosines[np.arange(len(query)), best] / len(query)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors of length 1, in their directions; what has none stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: NDArray[np.float64] = np.zeros_like(vectors)
    np.divide(vectors, lengths, out=found, where=lengths > 0)
    return found


def _best(rows: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> Ranked:
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]
