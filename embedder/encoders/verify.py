"""Check an encoder folder: its files by their digests, its numbers against those of its import."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedder.encoders.registry import (
    Device,
    FileStanding,
    load_encoder,
    load_text_encoder,
    read_spec,
    standing_of,
)
from embedder.encoders.self_check import SELF_CHECK_FILE, TOLERANCE, SelfCheck, self_check


@dataclass(frozen=True)
class Distance:
    """How far some numbers are from those of the import, as relative L2."""

    name: str
    distance: float


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes
    ----------
    numbers : tuple of Distance
        Empty when a file is not as imported, or no numbers were made at the import.
    summary : str
        In words.
    """

    encoder_id: str
    heads_id: str | None
    files: tuple[FileStanding, ...]
    numbers: tuple[Distance, ...]
    is_good: bool
    summary: str

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain values for JSON."""
        return asdict(self)


def verify_encoder(folder: Path, *, device: Device = "auto") -> Verification:
    """Check an encoder folder.

    Parameters
    ----------
    folder : Path
    device : {"auto", "cpu", "cuda"}
        Where the numbers are computed.

    Raises
    ------
    NotFoundError, EncoderError
        There is no encoder in the folder, or its specification is not valid.
    """
    spec = read_spec(folder)
    files = tuple(standing_of(each, folder) for each in spec.files)
    changed = [each.file for each in files if each.standing != "as imported"]
    numbers: tuple[Distance, ...] = ()
    recorded = SelfCheck.read(folder / SELF_CHECK_FILE)
    if changed:
        summary = f"not as imported: {', '.join(changed)}; import the encoder again"
    elif recorded is None:
        summary = "the files are as imported; no numbers were made at the import to compare with"
    else:
        text = load_text_encoder(folder, device=device) if spec.can_read_text else None
        now = self_check(load_encoder(folder, device=device), text)
        names = dict.fromkeys([*recorded.vectors, *now.vectors])
        numbers = tuple(Distance(name, recorded.distance(now, name)) for name in names)
        off = [each.name for each in numbers if not each.distance <= TOLERANCE]
        summary = (
            f"these numbers differ from those of the import: {', '.join(off)}"
            if off
            else "files and numbers are those of the import"
        )
    good = not changed and recorded is not None and all(n.distance <= TOLERANCE for n in numbers)
    return Verification(spec.encoder_id, spec.heads_id, files, numbers, good, summary)
