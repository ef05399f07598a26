"""An archive of real-size cines: 512 x 512 pixels, 60 to 100 frames, two transfer syntaxes.

The pixels are those of the real 75-frame cine, as it was compressed (JPEG baseline) or decoded and
compressed again without loss (JPEG lossless, first-order prediction), which every other cine is.
A run longer than 75 frames goes back where the cine ends, as a swing would.
"""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEGLosslessSV1

from benchmarks.record import ROOT

CINE = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
FRAMES = (60, 100)
CINES_PER_STUDY = 6


def write_archive(folder: Path, cines: int, *, seed: int = 0) -> list[Path]:
    """Write cines into a folder, one folder a study; what is there already is kept.

    Parameters
    ----------
    folder : Path
    cines : int
    seed : int
        Of their lengths.

    Returns
    -------
    list of Path
    """
    original = pydicom.dcmread(CINE)
    count = int(original.NumberOfFrames)
    baseline = list(generate_frames(original.PixelData, number_of_frames=count))
    lossless = [
        imagecodecs.ljpeg_encode(np.ascontiguousarray(imagecodecs.jpeg8_decode(frame)))
        for frame in baseline
    ]
    lengths = np.random.default_rng(seed).integers(FRAMES[0], FRAMES[1] + 1, cines)
    paths = []
    for number, length in enumerate(lengths.tolist()):
        study, run = divmod(number, CINES_PER_STUDY)
        path = folder / f"study{study:05}" / f"run{run}.dcm"
        paths.append(path)
        if path.exists():
            continue
        swing = [
            min(i % (2 * count - 2), (2 * count - 2) - i % (2 * count - 2)) for i in range(length)
        ]
        cine = pydicom.dcmread(CINE)
        coded = lossless if number % 2 else baseline
        cine.PixelData = encapsulate([bytes(coded[i]) for i in swing])
        cine["PixelData"].is_undefined_length = True
        cine.NumberOfFrames = length
        cine.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{seed}.{number + 1}"
        cine.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.{seed}.0.{study + 1}"
        cine.PatientID = f"patient-{seed}-{study}"
        cine.file_meta.MediaStorageSOPInstanceUID = cine.SOPInstanceUID
        if number % 2:
            cine.file_meta.TransferSyntaxUID = UID(JPEGLosslessSV1)
        path.parent.mkdir(parents=True, exist_ok=True)
        cine.save_as(path)
    return paths
