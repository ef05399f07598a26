"""Compare decoders per transfer syntax: right or wrong, and milliseconds per frame.

    python -m benchmarks.decoders [--samples FOLDER] [--repeats N]

Reads the sample files of the tests, synthetic angiograms in the syntaxes that no sample has, and,
with --samples, any other folder of DICOM files.  Every decoder decodes the same bytes in the same
run; "right" is equality with the uncompressed reference for lossless syntaxes, and with the
majority (within 2 grey levels) for lossy ones.  Writes benchmarks/results/decoders.json.

pylibjpeg-libjpeg is under the GPL and no dependency; where it happens to be installed it is
measured with the others.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from benchmarks import record
from core.outcomes import InputRefused
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import Claims, claims_of
from embedder.dicom.decoders import decode_frame, decoder_for
from embedder.dicom.frame_table import frame_spans, read_spans
from embedder.dicom.header import open_regular, parse_header
from tests.support.dicom import moving_frames, write_cine

ROOT = record.ROOT
PLUGINS = ("pillow", "gdcm", "pylibjpeg", "pyjpegls", "pydicom")
PACKAGES = (
    "imagecodecs", "pillow", "python-gdcm", "pylibjpeg", "pylibjpeg-openjpeg",
    "pylibjpeg-libjpeg", "pylibjpeg-rle", "pyjpegls", "pydicom", "numpy",
)  # fmt: skip
LOSSLESS = (
    uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless,
    uid.HTJ2KLossless, uid.RLELossless,
)  # fmt: skip
SYNTHETIC = (*LOSSLESS, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless,
             uid.JPEG2000, uid.HTJ2K)  # fmt: skip
Frame = NDArray[np.generic]


@dataclass
class Case:
    """One compressed frame with its header."""

    name: str
    syntax: str
    data: bytes
    claims: Claims
    reference: Frame | None = None


@dataclass
class Row:
    """What one decoder made of one case."""

    case: str
    syntax: str
    shape: str
    decoder: str
    ms: float | None = None
    right: bool | None = None
    note: str = ""
    frame: Frame | None = field(default=None, repr=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=Path, help="a folder of further DICOM files")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folders = [ROOT / "tests/data/dicom", *([options.samples] if options.samples else [])]
    cases = [case for folder in folders for case in cases_of(folder)]
    with tempfile.TemporaryDirectory() as folder:
        cases += synthetic(Path(folder))
    rows = [row for case in distinct(cases) for row in compare(case, options.repeats)]
    file = record.write(
        "decoders",
        {"cpu": cpu(), "packages": packages(), "rows": [plain(row) for row in rows]},
    )
    print(table(rows))
    print(f"written to {file.relative_to(ROOT)}")


def cases_of(folder: Path) -> list[Case]:
    """Take the first frame of every compressed file that can be read."""
    cases = []
    for path in sorted(folder.rglob("*")):
        try:
            case = case_of(path)
        except InputRefused:
            continue
        if case is not None:
            cases.append(case)
    for case in cases:
        case.reference = reference_of(folder, case)
    return cases


def case_of(path: Path, n: int = 0) -> Case | None:
    if not path.is_file():
        return None
    file, status = open_regular(path)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        claims, decoder = claims_of(header), decoder_for(header.transfer_syntax)
        if not decoder.encapsulated:
            return None
        data = read_spans(file, frame_spans(header, claims, [n])[n])
    return Case(path.name, header.transfer_syntax, data, claims)


def reference_of(folder: Path, case: Case) -> Frame | None:
    """Find the uncompressed twin of a sample, by the naming of the samples."""
    if case.syntax not in LOSSLESS:
        return None
    for start, twin in (
        ("ct_enh", "ct_enh_2f_explicit.dcm"),
        ("ct_", "ct_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm"),
        ("wg04", "wg04_XA1_UNC.dcm"),
        ("emri", "emri_10f.dcm"),
    ):
        found = sorted(folder.rglob(twin))
        if case.name.startswith(start) and found:
            return uncompressed(found[0])
    return None


def uncompressed(path: Path) -> Frame:
    file, status = open_regular(path)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        claims = claims_of(header)
        assert header.pixels is not None
        data = read_spans(file, [(header.pixels.start, claims.frame_bytes)])
    return decode_frame(data, claims, decoder_for(header.transfer_syntax))


def synthetic(folder: Path) -> list[Case]:
    """Make angiogram-like frames: 512 x 512 at 8 bits and 1024 x 1024 at 12."""
    cases = []
    for syntax in SYNTHETIC:
        for side, bits in ((512, 8), (1024, 12)):
            if (syntax, bits) in ((uid.JPEGBaseline8Bit, 12), (uid.JPEGExtended12Bit, 8)):
                continue
            frames = noisy(side, bits)
            path = write_cine(
                folder / f"synthetic_{side}_{bits}bit_{syntax}", frames,
                transfer_syntax=syntax, bits_stored=bits,
            )  # fmt: skip
            case = case_of(path)
            assert case is not None
            case.reference = frames[0] if syntax in LOSSLESS else None
            cases.append(case)
    return cases


def noisy(side: int, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    frames = moving_frames(2, side, side, bits=bits)
    noise = np.random.default_rng(1).normal(0, 0.01 * 2**bits, frames.shape)
    mixed = np.clip(frames + noise, 0, 2**bits - 1)
    return mixed.astype(np.uint8) if bits == 8 else mixed.astype(np.uint16)


def distinct(cases: list[Case]) -> list[Case]:
    return list({(case.name, case.data): case for case in cases}.values())


def compare(case: Case, repeats: int) -> list[Row]:
    """Decode one case with every decoder that takes it, and judge the results."""
    claims = case.claims
    shape = f"{claims.rows}x{claims.columns}x{claims.samples}, {claims.bits_stored} bits"
    rows = []
    decoders: dict[str, Callable[[], Frame]] = {"imagecodecs (ours)": ours(case)}
    decoders |= {name: through_pydicom(case, name) for name in plugins_of(case.syntax)}
    for name, decode in decoders.items():
        row = Row(case.name, str(uid.UID(case.syntax).name), shape, name)
        try:
            row.frame = decode()
            row.ms = fastest(decode, repeats)
        except Exception as error:  # noqa: BLE001  a failure is a result here
            row.note = f"{type(error).__name__}: {error}".split("\n")[0][:80]
        rows.append(row)
    judge(rows, case)
    return rows


def ours(case: Case) -> Callable[[], Frame]:
    decoder = decoder_for(case.syntax)
    return lambda: decode_frame(case.data, case.claims, decoder)


def plugins_of(syntax: str) -> list[str]:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return []
    return [name for name in PLUGINS if name in decoder.available_plugins]


def through_pydicom(case: Case, plugin: str) -> Callable[[], Frame]:
    """Decode through pydicom's public decoder, with one plugin."""
    claims = case.claims
    decoder = get_decoder(case.syntax)
    options: Any = {
        "rows": claims.rows,
        "columns": claims.columns,
        "samples_per_pixel": claims.samples,
        "photometric_interpretation": claims.photometric,
        "bits_allocated": claims.bits_allocated,
        "bits_stored": claims.bits_stored,
        "pixel_representation": int(claims.signed),
        "number_of_frames": 1,
        "planar_configuration": int(claims.planar),
        "pixel_keyword": "PixelData",
    }
    item = (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + len(case.data).to_bytes(4, "little")
    ) + case.data

    def decode() -> Frame:
        array, _ = decoder.as_array(item, raw=True, decoding_plugin=plugin, **options)
        return np.asarray(array)

    return decode


def fastest(decode: Callable[[], Frame], repeats: int) -> float:
    """Give the shortest of some runs in milliseconds: the machine is shared."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        decode()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def judge(rows: list[Row], case: Case) -> None:
    """Compare with the reference, or with what most decoders found."""
    top = (1 << case.claims.bits_stored) - 1
    found = {
        row.decoder: (row.frame[..., 0] if row.frame.ndim == 3 else row.frame).astype(int) & top
        for row in rows
        if row.frame is not None and case.claims.photometric != "RGB"
    }
    for row in rows:
        if row.decoder not in found:
            continue
        frame = found[row.decoder]
        if case.reference is not None:
            row.right = bool(np.array_equal(frame, case.reference.astype(int) & top))
        elif len(found) > 1:
            votes = [bool(np.abs(frame - other).max() <= 2) for other in found.values()]
            row.right = bool(sum(votes) * 2 > len(votes))


def plain(row: Row) -> dict[str, object]:
    kept = {name: value for name, value in vars(row).items() if name != "frame"}
    if row.ms is not None:
        kept["ms"] = round(row.ms, 2)
    return kept


def table(rows: list[Row]) -> str:
    lines = ["| file | syntax | frame | decoder | ms/frame | right |", "|---|---|---|---|---|---|"]
    for row in rows:
        ms = "failed" if row.ms is None else f"{row.ms:.1f}"
        right = {True: "yes", False: "NO", None: "?"}[row.right] if row.ms is not None else row.note
        name = row.case.removesuffix(".dcm")[:34]
        lines.append(
            f"| {name} | {row.syntax[:44]} | {row.shape} | {row.decoder} | {ms} | {right} |"
        )
    return "\n".join(lines)


def cpu() -> str:
    """Name the processor: the codecs use its vector instructions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
