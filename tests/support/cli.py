"""The command line as a person runs it: a process of its own, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def angioatlas(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command; nothing of the caller's own settings is seen by it."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANGIOATLAS_")
    }
    return subprocess.run(
        [sys.executable, "-m", "angioatlas.cli.main", *map(str, words)],
        env=environment | {"HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def as_json(home: Path, *words: object, code: int = 0) -> Any:
    """Run a command with `--json` and return its document."""
    done = angioatlas(home, *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)
