"""The kinds of index: how each holds its vectors, and names the rows that may be the best.

An engine only *nominates*: `index.search` scores every nominated row again from its float32 vector,
in float64.  What kinds differ in is how the rows are found that are worth that:

============  =============================================================  =====================
kind          holds                                                          nominates from
============  =============================================================  =====================
exact         float32 vectors                                                all rows
compressed    half-precision vectors, and their main axes; float32 on disk   the best along the
                                                                             axes, or all rows
hnsw          float32 vectors and a graph of neighbours                      the graph, or all rows
gpu           what `exact` holds, and a copy on the GPU                      all rows
============  =============================================================  =====================

FAISS is asked one query at a time, in one thread (`one_thread`): its parallel loops and those of
PyTorch use two OpenMP runtimes, whose threads wait for each other busily when both live in one
process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import ModuleType
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from core.errors import UsageError
from core.optional import import_optional
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE

ROW_BYTES: Final = 4 * EMBEDDING_DIM
"""Bytes of one float32 vector."""
_UNIT_ROUNDOFF: Final = 2.0**-24
ROUNDING_BOUND: Final = (EMBEDDING_DIM * _UNIT_ROUNDOFF / (1 - EMBEDDING_DIM * _UNIT_ROUNDOFF)) * (
    1 + UNIT_NORM_TOLERANCE
) ** 2
"""Bound on the error of a float32 inner product of two unit vectors, in any order of summation:
γₙ·|x|ᵀ|y| with γₙ = nu/(1 − nu) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1), and |x|ᵀ|y| ≤ ‖x‖‖y‖."""
_ADD_ROWS: Final = 65536
HNSW_LINKS: Final = 32
_GPU_MOST: Final = 2048
"""Rows that FAISS returns from a GPU at the most."""

Scores = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Kind(StrEnum):
    """What an index may be; see the module."""

    EXACT = "exact"
    COMPRESSED = "compressed"
    HNSW = "hnsw"
    GPU = "gpu"


def faiss() -> ModuleType:
    """Return FAISS, or say which extra installs it."""
    return import_optional("faiss", needed_for="the search index", extra="cpu")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep FAISS, as this thread calls it, from opening threads of its own."""
    library = faiss()
    before = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    try:
        yield
    finally:
        library.omp_set_num_threads(before)


class Engine(ABC):
    """Vectors that can be asked for those nearest to a query.

    Attributes
    ----------
    core : faiss.Index
        What is written to disk.
    slack : float
        Bound on the difference of `nominate`'s scores from the exact inner products.
    """

    kind: ClassVar[Kind]
    core: Any
    slack: float = ROUNDING_BOUND

    def __len__(self) -> int:
        return int(self.core.ntotal)

    @abstractmethod
    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Return the scores and rows of about `count` rows near one query [512], best first.

        Parameters
        ----------
        query : array [512], float32
        count : int
            At most the number of rows in `mask`.
        mask : array [n], bool
            The rows that may be named.
        whole : bool
            Look at every row of `mask`: exactly `count` rows come back, and all others score at
            most the last of them.  Otherwise fewer may come, and better ones be missed.
        """

    @abstractmethod
    def above(self, query: NDArray[np.float32], radius: float, mask: Mask) -> Rows:
        """Return every row of `mask` whose score, within `slack`, is above `radius`."""

    @abstractmethod
    def read(self, rows: Rows) -> NDArray[np.float32]:
        """Return the float32 vectors of some rows, [m, 512]."""

    @property
    @abstractmethod
    def is_exact(self) -> bool:
        """Whether every nomination looks at all rows."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """Bytes that are resident or mapped."""


class _Float32(Engine, ABC):
    """Float32 vectors in memory (FAISS ``IndexFlatIP``), and perhaps something beside them."""

    def __init__(self, core: Any, flat: Any) -> None:
        self.core = core
        self._flat = flat

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors, [n, 512], as a view of FAISS's memory; do not write, do not outlive."""
        if len(self) == 0:
            return np.empty((0, EMBEDDING_DIM), np.float32)
        numbers: NDArray[np.float32] = faiss().rev_swig_ptr(
            self._flat.get_xb(), len(self) * EMBEDDING_DIM
        )
        return numbers.reshape(len(self), EMBEDDING_DIM)

    def above(self, query: NDArray[np.float32], radius: float, mask: Mask) -> Rows:
        """Scan all rows."""
        chosen = faiss().SearchParameters(sel=selector(mask))
        rows: Rows = self._flat.range_search(query[None], radius, params=chosen)[2]
        return rows

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """Copy the rows."""
        return self.vectors[rows]

    @property
    def memory_bytes(self) -> int:
        """The vectors' own."""
        return len(self) * ROW_BYTES

    def _scan(self, query: NDArray[np.float32], count: int, mask: Mask) -> tuple[Scores, Rows]:
        # A selector also when it leaves all: FAISS 1.15 then answers one query over 200,000 rows in
        # 15 ms, and without in 30 to 70 ms.
        chosen = faiss().SearchParameters(sel=selector(mask))
        scores, rows = self._flat.search(query[None], count, params=chosen)
        return scores[0], rows[0]


@final
class Exact(_Float32):
    """Float32 vectors, looked at one by one."""

    kind = Kind.EXACT
    is_exact = True

    def __init__(self, core: Any) -> None:
        super().__init__(core, core)

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Exact:
        """Copy vectors [n, 512], which need not be contiguous."""
        core = faiss().IndexFlatIP(EMBEDDING_DIM)
        add_rows(core, vectors)
        return cls(core)

    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Scan all rows, always."""
        return self._scan(query, count, mask)


@final
class Hnsw(_Float32):
    """A graph of neighbours over float32 vectors (Malkov & Yashunin 2020; ``IndexHNSWFlat``).

    Attributes
    ----------
    breadth : int
        Candidates that a walk keeps (efSearch).
    """

    kind = Kind.HNSW
    is_exact = False

    def __init__(self, core: Any, *, breadth: int) -> None:
        super().__init__(core, faiss().downcast_index(core.storage))
        self.breadth = breadth

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Hnsw:
        """Link vectors [n, 512] to `HNSW_LINKS` neighbours each; half a minute for 200,000."""
        library = faiss()
        core = library.IndexHNSWFlat(EMBEDDING_DIM, HNSW_LINKS, library.METRIC_INNER_PRODUCT)
        add_rows(core, vectors)
        return cls(core, breadth=HNSW_LINKS)

    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Walk the graph, or scan all rows."""
        if whole:
            return self._scan(query, count, mask)
        breadth = max(self.breadth, count)
        chosen = faiss().SearchParametersHNSW(sel=selector(mask), efSearch=breadth)
        return found_rows(*self.core.search(query[None], count, params=chosen))

    @property
    def memory_bytes(self) -> int:
        """Of the vectors and the links."""
        links = self.core.hnsw.neighbors.size() * 4 + self.core.hnsw.offsets.size() * 8
        return super().memory_bytes + int(links)


@final
class OnGpu(_Float32):
    """An exact index whose vectors are also on a GPU, which nominates as long as few are masked.

    FAISS filters no flat index on a GPU and returns 2,048 rows at the most: what is masked is taken
    out of what comes back, and where that may not leave enough, the processor answers.

    Parameters
    ----------
    core : faiss.IndexFlatIP
    device : faiss.Index
        The copy; any index that holds the same rows.
    """

    kind = Kind.GPU
    is_exact = True
    slack = 2.0**-10
    """Tensor cores may round factors to 11 bits (TF32): 2⁻¹¹ of each."""

    def __init__(self, core: Any, device: Any) -> None:
        super().__init__(core, core)
        self._device = device

    @classmethod
    def of(cls, flat: Exact) -> OnGpu:
        """Copy an exact index onto the first GPU.

        Raises
        ------
        UsageError
            FAISS is built without GPUs, or finds none.
        """
        library = faiss()
        if not hasattr(library, "StandardGpuResources") or library.get_num_gpus() == 0:
            raise UsageError(
                "FAISS finds no GPU",
                "pip install 'angioatlas[gpu]' on a machine that has one, or: "
                "angioatlas index build --kind auto",
            )
        resources = library.StandardGpuResources()
        return cls(flat.core, library.index_cpu_to_gpu(resources, 0, flat.core))

    def nominate(
        self, query: NDArray[np.float32], count: int, mask: Mask, *, whole: bool
    ) -> tuple[Scores, Rows]:
        """Scan all rows, here or there."""
        asked = min(count + len(mask) - int(np.count_nonzero(mask)), len(mask))
        if asked > _GPU_MOST:
            return self._scan(query, count, mask)
        scores, rows = self._device.search(query[None], asked)
        return unmasked(scores[0], rows[0], mask, count)


def add_rows(core: Any, vectors: NDArray[np.float32]) -> None:
    """Add vectors [n, 512] to a FAISS index, part by part: no copy of all is made."""
    for start in range(0, len(vectors), _ADD_ROWS):
        core.add(np.ascontiguousarray(vectors[start : start + _ADD_ROWS]))


def found_rows(scores: NDArray[np.float32], rows: Rows) -> tuple[Scores, Rows]:
    """Return what one query found, without the places that stayed empty."""
    there = rows[0] >= 0
    return scores[0][there], rows[0][there]


def unmasked(scores: Scores, rows: Rows, mask: Mask, count: int) -> tuple[Scores, Rows]:
    """Return the best `count` rows of `mask` among those that were found without it."""
    kept = mask[rows]
    return scores[kept][:count], rows[kept][:count]


def selector(mask: Mask) -> Any:
    """Return what tells FAISS which rows it may name."""
    return faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))
