"""An exact FAISS index over one version of one encoder space: build, save, load.

The index is a cache: everything in it can be read from the store again.  It holds L2-normalised
vectors, so inner product is cosine similarity.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import NotFoundError, StoreError, UsageError
from core.optional import import_optional
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE, Level

ABOUT_FILE: Final = "index.json"
_FORMAT: Final = 1
_ADD_ROWS: Final = 65536
_SEPARATOR: Final = "\x1f"
_ABANDONED_S: Final = 86_400.0
"""Age at which a file that no index names is taken for the rest of a killed save."""
_REBUILD: Final = "build it again with `angioatlas index`"


def faiss() -> ModuleType:
    """Return FAISS, or say which extra installs it."""
    return import_optional("faiss", needed_for="the search index", extra="cpu")


@final
class Keys:
    """What rows of vectors are: the uid, and the commit that wrote the vector.

    The pair identifies a vector for good: a study that is embedded again has the same uid and
    another commit.

    Parameters
    ----------
    uids, commit_ids : sequence of str or pyarrow string array
        Of equal length.
    """

    def __init__(
        self, uids: Sequence[str] | pa.Array | pa.ChunkedArray, commit_ids: Sequence[str] | pa.Array
    ) -> None:
        self.uids: pa.Array = _strings(uids)
        self.commit_ids: pa.Array = _strings(commit_ids)
        if len(self.uids) != len(self.commit_ids):
            raise UsageError(f"{len(self.uids)} uids come with {len(self.commit_ids)} commit ids")

    def __len__(self) -> int:
        return len(self.uids)

    def take(self, rows: NDArray[np.int64]) -> Keys:
        """Return the keys at `rows`."""
        chosen = pa.array(rows)
        return Keys(self.uids.take(chosen), self.commit_ids.take(chosen))

    def positions_in(self, other: Keys) -> NDArray[np.int64]:
        """Return, for each key, its row in `other`, or -1."""
        found = pc.index_in(self._joined(), value_set=other._joined())
        rows: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return rows

    def _joined(self) -> pa.Array:
        return pc.binary_join_element_wise(self.uids, self.commit_ids, _SEPARATOR)


@dataclass(frozen=True)
class IndexInfo:
    """What an index was made of.

    Parameters
    ----------
    encoder_id : str
        The embedding space.
    level : Level
        Studies or videos.
    store_version : int
        The version whose visible rows it holds.
    """

    encoder_id: str
    level: Level
    store_version: int


@final
class FlatIndex:
    """Vectors and their keys, searched exactly (FAISS ``IndexFlatIP``).

    Made by `FlatIndex.build` and `FlatIndex.load`.

    Attributes
    ----------
    info : IndexInfo
        What it was made of.
    keys : Keys
        Row i of the keys belongs to row i of the vectors.
    engine : faiss.IndexFlatIP
        The vectors.
    """

    def __init__(self, info: IndexInfo, keys: Keys, engine: Any) -> None:
        self.info = info
        self.keys = keys
        self.engine = engine

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"FlatIndex({self.info}, n={len(self)})"

    @classmethod
    def build(cls, keys: Keys, vectors: NDArray[np.float32], *, info: IndexInfo) -> Self:
        """Make an index.

        Parameters
        ----------
        keys : Keys
            One a row; no pair twice.
        vectors : array [n, 512], float32
            L2-normalised.  They are copied.
        info : IndexInfo
            What they are.

        Raises
        ------
        UsageError
            When shapes differ, or a vector is not finite or not of length 1.
        """
        check_vectors(vectors, len(keys))
        engine = faiss().IndexFlatIP(EMBEDDING_DIM)
        for start in range(0, len(keys), _ADD_ROWS):
            engine.add(np.ascontiguousarray(vectors[start : start + _ADD_ROWS]))
        return cls(info, keys, engine)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors, [n, 512], as a view of FAISS's memory; do not write, do not outlive."""
        if len(self) == 0:
            return np.empty((0, EMBEDDING_DIM), np.float32)
        flat: NDArray[np.float32] = faiss().rev_swig_ptr(
            self.engine.get_xb(), len(self) * EMBEDDING_DIM
        )
        return flat.reshape(len(self), EMBEDDING_DIM)

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, in place of the one there.

        The two large files get new names and are written through to disk; then `index.json`, which
        names them and holds their checksums, is swapped in one step.  A reader finds the old index
        or the new one, never a mixture.

        Raises
        ------
        StoreError
            When a file cannot be written.
        """
        stem = uuid.uuid4().hex[:12]
        previous = _files_of(folder)
        vectors, keys = folder / f"{stem}.faiss", folder / f"{stem}.parquet"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            faiss().write_index(self.engine, str(vectors))
            columns = {"uid": self.keys.uids, "commit_id": self.keys.commit_ids}
            pq.write_table(pa.table(columns), keys)
            about = {
                "format": _FORMAT,
                "count": len(self),
                **asdict(self.info),
                "vectors": {"file": vectors.name, "sha256": _sha256(vectors)},
                "keys": {"file": keys.name, "sha256": _sha256(keys)},
            }
            _write_through(folder / ABOUT_FILE, json.dumps(about, indent=1).encode())
        except (OSError, RuntimeError) as error:
            for path in (vectors, keys):
                with suppress(OSError):
                    path.unlink()
            raise StoreError(f"the index in {folder} cannot be written") from error
        # Readers that have mapped the old file keep it until they let it go.  Other files may be
        # those of a save in progress, unless they are old: then it was killed.
        for path in (*previous, *_abandoned(folder)):
            path.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, *, mmap: bool = False, verify: bool = True) -> Self:
        """Read the index that `save` wrote.

        Parameters
        ----------
        folder : Path
            The folder.
        mmap : bool
            Map the vectors instead of reading them: processes that load the same index then share
            its memory.
        verify : bool
            Compare the checksums, which reads the whole files.

        Raises
        ------
        NotFoundError
            When there is no index.
        StoreError
            When it is damaged or of another format.
        """
        about = _read_about(folder)
        while True:
            try:
                return cls._load(folder, about, mmap=mmap, verify=verify)
            except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
                # Swapped after index.json was read?  Then it names other files by now.
                newer = _read_about(folder)
                if newer == about:
                    lacking = isinstance(error, FileNotFoundError)
                    how = "lacks a file" if lacking else "is damaged"
                    raise StoreError(f"the index in {folder} {how}", _REBUILD) from error
                about = newer

    @classmethod
    def _load(cls, folder: Path, about: dict[str, Any], *, mmap: bool, verify: bool) -> Self:
        files = {part: folder / about[part]["file"] for part in ("vectors", "keys")}
        for part, path in files.items():
            if not path.exists():
                raise FileNotFoundError(path)
            if verify and _sha256(path) != about[part]["sha256"]:
                raise ValueError(f"checksum of {path.name}")
        library = faiss()
        flags = library.IO_FLAG_MMAP_IFC if mmap else 0
        engine = library.read_index(str(files["vectors"]), flags)
        table = pq.read_table(files["keys"])
        keys = Keys(table["uid"], table["commit_id"])
        if not len(keys) == engine.ntotal == about["count"] or engine.d != EMBEDDING_DIM:
            raise ValueError(f"{len(keys)} keys, {engine.ntotal} vectors of length {engine.d}")
        info = IndexInfo(about["encoder_id"], Level(about["level"]), int(about["store_version"]))
        return cls(info, keys, engine)


def check_vectors(vectors: NDArray[np.float32], n: int) -> None:
    """Refuse what is not [n, 512] float32 of length 1.

    Raises
    ------
    UsageError
        With what was expected and found.
    """
    if vectors.shape != (n, EMBEDDING_DIM) or vectors.dtype != np.float32:
        raise UsageError(
            f"the vectors are {vectors.dtype} {list(vectors.shape)}; expected float32 "
            f"[{n}, {EMBEDDING_DIM}]"
        )
    if n == 0:
        return
    # einsum needs no temporary of the size of the vectors; NaN fails the comparison.
    squared = np.einsum("ij,ij->i", vectors, vectors)
    off = float(np.abs(np.sqrt(squared) - 1).max())
    if not off <= UNIT_NORM_TOLERANCE:
        raise UsageError(f"a vector is not L2-normalised: its length is off by {off:.3g}")


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no index in {folder}", _REBUILD) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / ABOUT_FILE} cannot be read", _REBUILD) from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise StoreError(f"the index in {folder} is not of format {_FORMAT}", _REBUILD)
    return about


def _files_of(folder: Path) -> list[Path]:
    """Return the files that the index in `folder` is made of; none when there is no index."""
    try:
        about = _read_about(folder)
        return [folder / about[part]["file"] for part in ("vectors", "keys")]
    except (NotFoundError, StoreError, KeyError, TypeError):
        return []


def _abandoned(folder: Path) -> list[Path]:
    named = {path.name for path in _files_of(folder)}
    before = time.time() - _ABANDONED_S
    return [
        path
        for path in folder.iterdir()
        if path.suffix in {".faiss", ".parquet"}
        and path.name not in named
        and path.stat().st_mtime < before
    ]


def _strings(values: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values.cast(pa.string())
    return pa.array(values, pa.string())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest: Callable[[], str] = hashlib.file_digest(file, "sha256").hexdigest
        os.fsync(file.fileno())
        return digest()


def _write_through(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
