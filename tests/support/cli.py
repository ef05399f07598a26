"""The command line as a person runs it, in a home of its own: in this process, or in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from angioatlas.cli.main import app

ROOT = Path(__file__).parents[2]
_EXPECTED = (type(None), SystemExit)


def angioatlas(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a new one spends seconds on loading libraries alone."""
    given = [str(word) for word in words]
    # A process of its own would show what libraries warn of, not fail with it.
    with _home(home), warnings.catch_warnings():
        warnings.simplefilter("default")
        done = CliRunner().invoke(app, given)
    if not isinstance(done.exception, _EXPECTED):
        raise done.exception
    return subprocess.CompletedProcess(given, done.exit_code, done.stdout, done.stderr)


def as_process(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "angioatlas.cli.main", *map(str, words)],
        env=process_environment(home),
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


def process_environment(home: Path) -> dict[str, str]:
    """Return the caller's environment, without any of the caller's own settings."""
    kept = {name: value for name, value in os.environ.items() if not _is_ours(name)}
    return kept | {"HOME": str(home)}


def _is_ours(name: str) -> bool:
    return name.startswith("ANGIOATLAS_")


@contextmanager
def _home(home: Path) -> Iterator[None]:
    before, folder = dict(os.environ), Path.cwd()
    inside = process_environment(home)
    os.environ.clear()
    os.environ.update(inside)
    os.chdir(ROOT)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
