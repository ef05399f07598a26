"""How a result is kept: figures, and the circumstances they were measured in."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from core.provenance import software, utc_now

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def circumstances() -> dict[str, Any]:
    """Say on what kind of machine, with what software, at which commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "measured_at": utc_now().isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or "unknown",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "software": software(),
    }


def write(name: str, figures: Any) -> Path:
    """Write one benchmark's figures to benchmarks/results."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(circumstances() | {"figures": figures}, indent=1) + "\n")
    return file
