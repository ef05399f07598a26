"""The peak memory of a run and all its processes, for some cines and for ten times as many.

OMP_WAIT_POLICY=passive python -m benchmarks.memory [--cines 210] [--archive FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_size_archive import write_archive
from benchmarks.record import ROOT, write
from benchmarks.tree_memory import PeakOfTree

TIMES = 10


def peak_mib(archive: Path, encoder: str, home: Path) -> float:
    """Return the peak of `angioatlas embed` with a new store, MiB."""
    words = ["embed", str(archive), "--store", str(home / "store"), "--encoder", encoder]
    with PeakOfTree() as peak:
        subprocess.run(
            [sys.executable, "-m", "angioatlas.cli.main", *words, "--keep-identifiers", "--json"],
            cwd=ROOT,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return peak.peak_mib - peak.own_mib


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cines", type=int, default=210)
    parser.add_argument("--archive", type=Path, help="where the cines are, or are written to")
    parser.add_argument("--encoder", default="phantom-mini", help="a name, or a folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        whole = options.archive or Path(work) / "archive"
        paths = write_archive(whole, options.cines)
        part = Path(work) / "part"
        for path in paths[: options.cines // TIMES]:
            (part / path.parent.name).mkdir(parents=True, exist_ok=True)
            (part / path.parent.name / path.name).symlink_to(path)
        peaks = {}
        for name, archive in (("some", part), ("all", whole)):
            home = Path(work) / name
            home.mkdir()
            peaks[name] = peak_mib(archive, options.encoder, home)
    figures = {
        "encoder": options.encoder,
        "cines": [options.cines // TIMES, options.cines],
        "peak MiB": [peaks["some"], peaks["all"]],
        "ratio": peaks["all"] / peaks["some"],
    }
    print(figures)
    write("memory", figures)
    return {"memory": figures}


if __name__ == "__main__":
    main()
