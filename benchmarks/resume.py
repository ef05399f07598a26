"""What finding out costs, per file, that nothing or little is new: at 2,000 files and at 200,000.

The cines are as small as cines get and the encoder costs nothing, since this is about files: the
walk, the ledger, the headers, the commits.  A run that resumes has a hundredth of the studies left.

python -m benchmarks.resume [--files 2000 200000] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from angioatlas.report import EmbedReport
from benchmarks.record import write
from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from core.settings import load_settings
from embedder.encoders.spec import FULL, Findings, VideoVectors
from embedder.sampling import ClipRule

CINES_PER_STUDY = 6
XA = UID("1.2.840.10008.5.1.4.1.1.12.1")
_ROOT = "1.2.826.0.1.3680043.8.498"
_HOLDS = "{:08d}"
"""Numbers of one width, so that files are copies with other digits in their places."""


class NoEncoder:
    """Vectors that mean nothing and take no time."""

    encoder_id = "none-000000000000"
    heads_id: str | None = None
    frames = CLIP_FRAMES
    clip_rule = ClipRule("display")
    batch_size = 64
    precision = FULL

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Return one unit vector a clip."""
        rows = np.zeros((len(clips), EMBEDDING_DIM), np.float32)
        rows[:, 0] = 1
        return VideoVectors(rows, rows)

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        """Return the first video's vector."""
        first: NDArray[np.float32] = videos.embedding[0]
        return first

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        """Return the first video's vector of each."""
        return np.stack([self.encode_study(each) for each in studies])

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Return nothing."""
        return None


def template() -> bytes:
    """Return the bytes of a cine of 16 frames of 16 x 16 pixels."""
    cine = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=FileMetaDataset())
    number = _HOLDS.format(0)
    cine.SOPClassUID = cine.file_meta.MediaStorageSOPClassUID = XA
    cine.SOPInstanceUID = cine.file_meta.MediaStorageSOPInstanceUID = UID(f"{_ROOT}.1{number}")
    cine.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    cine.StudyInstanceUID = f"{_ROOT}.2{number}"
    cine.SeriesInstanceUID = f"{_ROOT}.2{number}.1"
    cine.PatientID = f"patient-3{number}"
    cine.Modality, cine.NumberOfFrames, cine.FrameTime = "XA", 16, "66"
    cine.Rows = cine.Columns = 16
    cine.SamplesPerPixel, cine.PhotometricInterpretation = 1, "MONOCHROME2"
    cine.BitsAllocated = cine.BitsStored = 8
    cine.HighBit, cine.PixelRepresentation = 7, 0
    cine.PixelData = np.random.default_rng(0).integers(0, 256, 16**3, np.uint8).tobytes()
    with tempfile.NamedTemporaryFile() as file:
        cine.save_as(file.name, enforce_file_format=True)
        return Path(file.name).read_bytes()


def write_files(folder: Path, files: int) -> None:
    """Write cines, six a study; each has an instance and pixels of its own."""
    made = template()
    for number in range(files):
        study = number // CINES_PER_STUDY
        path = folder / f"{study // 1000:04}" / f"{study:08}" / f"{number % CINES_PER_STUDY}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = made
        for kind, value in ((b"1", number), (b"2", study), (b"3", study)):
            digits = _HOLDS.format(value).encode()
            data = data.replace(kind + _HOLDS.format(0).encode(), kind + digits)
        path.write_bytes(data[:-8] + number.to_bytes(8, "little"))


def embed(store: Path, archive: Path, **options: bool) -> EmbedReport:
    return Atlas.embed_into(
        store,
        [archive],
        encoder=EncoderHandle(NoEncoder.encoder_id, NoEncoder.clip_rule, NoEncoder),
        settings=load_settings().with_embed(all_runs=True, min_contrast=0.0, commit_studies=1024),
        options=EmbedOptions(keep_identifiers=True, **options),
    )


def measure(files: int, work: Path) -> dict[str, Any]:
    archive, store, rest = work / "archive", work / "store", work / "rest"
    write_files(archive, files)
    # A hundredth of the studies is not there yet when the first run ends, as if it were killed.
    late = sorted(archive.glob("*/*"))[::100]
    for folder in late:
        (rest / folder.parent.name).mkdir(parents=True, exist_ok=True)
        folder.rename(rest / folder.parent.name / folder.name)
    began = time.perf_counter()
    first = embed(store, archive)
    first_s = time.perf_counter() - began
    for folder in late:
        (rest / folder.parent.name / folder.name).rename(folder)
    began = time.perf_counter()
    resumed = embed(store, archive)
    resumed_s = time.perf_counter() - began
    again_s = []
    for _ in range(3):
        began = time.perf_counter()
        again = embed(store, archive)
        again_s.append(time.perf_counter() - began)
    assert (again.videos_embedded, again.inputs) == (0, files)
    assert first.videos_embedded + resumed.videos_embedded == files
    figures = {
        "files": files,
        "first run, ms per file": 1000 * first_s / first.inputs,
        "resumed, 1 % left, us per file": 1e6 * resumed_s / files,
        "nothing new, us per file": 1e6 * sorted(again_s)[1] / files,
        "peak MiB of this process so far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / 1024,
    }
    print(figures)
    return figures


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, nargs="+", default=[2_000, 200_000])
    parser.add_argument("--work", type=Path, help="where files are written; gigabytes")
    options = parser.parse_args()
    figures = []
    for files in options.files:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            figures.append(measure(files, Path(work)))
    write("resume", figures)
    return {"resume": figures}


if __name__ == "__main__":
    main()
