"""An index over one version of one encoder space: build, save, load.

The index is a cache: everything in it can be read from the store again.  It holds L2-normalised
vectors, so inner product is cosine similarity.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import NotFoundError, StoreError, UsageError
from core.schema import EMBEDDING_DIM, Level
from index.compressed import Compressed
from index.engines import ROW_BYTES, Engine, Exact, Hnsw, Kind, OnGpu, faiss
from index.keys import Keys, check_vectors
from index.row_file import RowFile
from index.tuning import Recall, draw_trials, recall_of, tuned_drafts, tuned_walk

ABOUT_FILE: Final = "index.json"
_FORMAT: Final = 3
_COPY_ROWS: Final = 8192
_ABANDONED_S: Final = 86_400.0
"""Age at which a file that no index names is taken for the rest of a killed save."""
_REBUILD: Final = "build it again with `angioatlas index build`"


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
    requested : bool
        Whether its kind was asked for; otherwise its size decided.
    """

    encoder_id: str
    level: Level
    store_version: int
    requested: bool = False


@final
class VectorIndex:
    """Vectors and their keys, ready to nominate neighbours.

    Made by `VectorIndex.build` and `VectorIndex.load`.

    Attributes
    ----------
    info : IndexInfo
        What it was made of.
    keys : Keys
        Row i of the keys belongs to row i of the vectors.
    engine : Engine
        The vectors.
    recall : Recall or None
        What it finds, measured when it was built; None for kinds that look at every row.
    """

    def __init__(
        self, info: IndexInfo, keys: Keys, engine: Engine, recall: Recall | None = None
    ) -> None:
        self.info = info
        self.keys = keys
        self.engine = engine
        self.recall = recall

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"VectorIndex({self.info}, {self.engine.kind}, n={len(self)})"

    @classmethod
    def build(
        cls,
        keys: Keys,
        vectors: NDArray[np.float32],
        *,
        info: IndexInfo,
        kind: Kind = Kind.EXACT,
        texts: NDArray[np.float32] | None = None,
        seed: int = 0,
    ) -> Self:
        """Make an index.

        Parameters
        ----------
        keys : Keys
            One a row; no pair twice.
        vectors : array [n, 512], float32
            L2-normalised.  An exact index copies them; a compressed one reads them until it is
            saved and loaded.
        info : IndexInfo
            What they are.
        kind : Kind
            Of no rows every index is exact.
        texts : array [t, 512], float32, optional
            Vectors of sentences, that approximate kinds are tuned and measured on besides rows.
        seed : int
            Of the rows and queries that are drawn.

        Raises
        ------
        UsageError
            When shapes differ, a vector is not finite or not of length 1, or no GPU is there for
            an index on a GPU.
        """
        check_vectors(vectors, len(keys))
        if kind is Kind.EXACT or len(keys) == 0:
            return cls(info, keys, Exact.of(vectors))
        if kind is Kind.GPU:
            return cls(info, keys, OnGpu.of(Exact.of(vectors)))
        tuning, measuring = draw_trials(vectors, texts, seed=seed)
        engine: Compressed | Hnsw
        if kind is Kind.COMPRESSED:
            engine = Compressed.of(vectors, seed=seed)
            engine.breadth = tuned_drafts(engine, tuning)
        else:
            engine = Hnsw.of(vectors)
            engine.breadth = tuned_walk(engine, tuning)
        return cls(
            info, keys, engine, recall_of(engine, measuring, far_are_texts=texts is not None)
        )

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, in place of the one there.

        The large files get new names and are written through to disk; then `index.json`, which
        names them and holds their checksums, is swapped in one step.  A reader finds the old index
        or the new one, never a mixture.

        Raises
        ------
        StoreError
            When a file cannot be written.
        """
        stem = uuid.uuid4().hex[:12]
        previous = _files_of(folder)
        files = {"vectors": folder / f"{stem}.faiss", "keys": folder / f"{stem}.parquet"}
        if isinstance(self.engine, Compressed):
            files["originals"] = folder / f"{stem}.f32"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            faiss().write_index(self.engine.core, str(files["vectors"]))
            columns = {"uid": self.keys.uids, "commit_id": self.keys.commit_ids}
            pq.write_table(pa.table(columns), files["keys"])
            if "originals" in files:
                _write_originals(self.engine, files["originals"])
            about = {
                "format": _FORMAT,
                "count": len(self),
                "kind": self.engine.kind,
                **asdict(self.info),
                "settings": _settings(self.engine),
                "recall": None if self.recall is None else asdict(self.recall),
                "files": {
                    part: {"file": path.name, "sha256": _sha256(path)}
                    for part, path in files.items()
                },
            }
            _write_through(folder / ABOUT_FILE, json.dumps(about, indent=1).encode())
        except (OSError, RuntimeError) as error:
            for path in files.values():
                with suppress(OSError):
                    path.unlink()
            raise StoreError(f"the index in {folder} cannot be written") from error
        # Readers that have opened the old files keep them until they let them go.  Other files may
        # be those of a save in progress, unless they are old: then it was killed.
        for path in (*previous, *_abandoned(folder)):
            path.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, *, mmap: bool = True, verify: bool = True) -> Self:
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
        UsageError
            When it is for a GPU and there is none.
        """
        about = _read_about(folder)
        while True:
            try:
                return cls._load(folder, about, mmap=mmap, verify=verify)
            except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
                if isinstance(error, UsageError):
                    raise
                # Swapped after index.json was read?  Then it names other files by now.
                newer = _read_about(folder)
                if newer == about:
                    lacking = isinstance(error, FileNotFoundError)
                    how = "lacks a file" if lacking else "is damaged"
                    raise StoreError(f"the index in {folder} {how}", _REBUILD) from error
                about = newer

    @classmethod
    def _load(cls, folder: Path, about: dict[str, Any], *, mmap: bool, verify: bool) -> Self:
        files = {part: folder / named["file"] for part, named in about["files"].items()}
        for part, path in files.items():
            if not path.exists():
                raise FileNotFoundError(path)
            if verify and _sha256(path) != about["files"][part]["sha256"]:
                raise ValueError(f"checksum of {path.name}")
        library = faiss()
        core = library.read_index(str(files["vectors"]), library.IO_FLAG_MMAP_IFC if mmap else 0)
        table = pq.read_table(files["keys"])
        keys = Keys(table["uid"], table["commit_id"])
        if not len(keys) == core.ntotal == about["count"] or core.d != EMBEDDING_DIM:
            raise ValueError(f"{len(keys)} keys, {core.ntotal} vectors of length {core.d}")
        info = IndexInfo(
            about["encoder_id"],
            Level(about["level"]),
            int(about["store_version"]),
            bool(about["requested"]),
        )
        engine = _engine(Kind(about["kind"]), core, about["settings"], files.get("originals"))
        recall = None if about["recall"] is None else Recall(**about["recall"])
        return cls(info, keys, engine, recall)


def _settings(engine: Engine) -> dict[str, Any]:
    return {"breadth": engine.breadth} if isinstance(engine, Compressed | Hnsw) else {}


def _engine(kind: Kind, core: Any, settings: dict[str, Any], originals: Path | None) -> Engine:
    if kind is Kind.COMPRESSED:
        if originals is None or originals.stat().st_size != core.ntotal * ROW_BYTES:
            raise ValueError("the file of the float32 vectors is not whole")
        return Compressed(core, RowFile(originals), **settings)
    if kind is Kind.HNSW:
        return Hnsw(core, **settings)
    flat = Exact(core)
    return OnGpu.of(flat) if kind is Kind.GPU else flat


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
        return [folder / named["file"] for named in _read_about(folder)["files"].values()]
    except (NotFoundError, StoreError, KeyError, TypeError, AttributeError):
        return []


def _abandoned(folder: Path) -> list[Path]:
    named = {path.name for path in _files_of(folder)}
    before = time.time() - _ABANDONED_S
    return [
        path
        for path in folder.iterdir()
        if path.suffix in {".faiss", ".parquet", ".f32"}
        and path.name not in named
        and path.stat().st_mtime < before
    ]


def _write_originals(engine: Engine, path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, len(engine), _COPY_ROWS):
            rows = np.arange(start, min(start + _COPY_ROWS, len(engine)))
            file.write(np.ascontiguousarray(engine.read(rows)).data)


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
