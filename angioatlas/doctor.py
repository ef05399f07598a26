"""Doctor: whether this installation, and a store, are in order; each check is for itself."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from core.errors import AtlasError
from core.provenance import software
from core.settings import Settings, config_file

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    state: State
    detail: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding as plain values for JSON."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Run every check; a check that fails is a finding, never an exception."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _packages,
        _device,
        _decoders,
        _encoders,
        _identity,
        _store,
    ]
    findings: list[Finding] = []
    for check in checks:
        name = check.__name__.strip("_")
        try:
            findings += check(settings)
        except AtlasError as error:
            findings.append(Finding(name, "broken", error.message, error.hint))
    return findings


def _packages(settings: Settings) -> Iterator[Finding]:
    yield Finding("packages", "ok", ", ".join(f"{k} {v}" for k, v in software().items()))
    for module, extra in (("faiss", "cpu"), ("lancedb", ""), ("duckdb", ""), ("torch", "")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            install = f"angioatlas[{extra}]" if extra else "angioatlas"
            yield Finding(module, "broken", str(error), f"pip install '{install}'")
    try:
        importlib.import_module("av")
    except ImportError:
        yield Finding(
            "movies", "note", "AVI and MP4 cannot be read", "pip install 'angioatlas[movies]'"
        )
    yield Finding("configuration", "ok", f"file: {config_file() or 'none, defaults in force'}")


def _device(settings: Settings) -> Iterator[Finding]:
    import torch  # takes seconds: only when asked

    if torch.cuda.is_available():
        yield Finding("device", "ok", torch.cuda.get_device_name())
    elif settings.embed.device == "cuda":
        yield Finding(
            "device",
            "broken",
            "embed.device is cuda and no CUDA device is usable",
            "use auto or cpu",
        )
    else:
        yield Finding("device", "note", f"CPU with {torch.get_num_threads()} threads")


def _decoders(settings: Settings) -> Iterator[Finding]:
    from embedder.dicom.decoders import available

    decoders = available()
    read = [f"{name} ({decoder})" for name, decoder in decoders.items() if decoder]
    unread = [name for name, decoder in decoders.items() if not decoder]
    yield Finding("decoders", "ok" if read else "broken", "; ".join(read))
    yield Finding("no decoder", "note", "; ".join(unread), "such files are quarantined")


def _encoders(settings: Settings) -> Iterator[Finding]:
    from embedder.encoders.registry import list_encoders

    specs = list_encoders(settings.encoders_dir)
    for spec in specs:
        heads = f"{len(spec.head_names)} finding heads" if spec.head_names else "no findings"
        text = "reads text" if spec.can_read_text else "no text search"
        yield Finding("encoder", "ok", f"{spec.encoder_id}: {heads}, {text}")
    if not specs:
        yield Finding(
            "encoder",
            "note",
            f"none in {settings.encoders_dir}",
            "angioatlas encoders import CHECKPOINT --name NAME",
        )


def _identity(settings: Settings) -> Iterator[Finding]:
    key = settings.identity_key
    if not key.exists():
        yield Finding("identity key", "note", "none yet", "the first embed makes one")
    elif key.stat().st_mode & 0o077:
        yield Finding("identity key", "broken", f"{key} can be read by others", f"chmod 600 {key}")
    else:
        yield Finding("identity key", "ok", str(key))


def _store(settings: Settings) -> Iterator[Finding]:
    if settings.store is None:
        yield Finding("store", "note", "none named", "--store FOLDER checks one")
        return
    from angioatlas.atlas import Atlas

    atlas = Atlas.open(settings.store, settings=settings)
    facts = atlas.info()
    yield Finding("store", "ok", ", ".join(f"{name} {value}" for name, value in facts.items()))
    if atlas.store.place.folder is None:
        return
    free = shutil.disk_usage(atlas.store.place.folder).free
    state: State = "ok" if free > 2**30 else "broken"
    yield Finding(
        "disk", state, f"{free / 2**30:.1f} GiB free", "make room" if state != "ok" else ""
    )
