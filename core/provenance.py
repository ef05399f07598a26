"""Who made a row or a file, with what: software versions, run ids, the research-use notice."""

from __future__ import annotations

import datetime as dt
import platform
import secrets
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

RESEARCH_USE = "Research use only. Not for diagnosis or treatment."

_PACKAGES = (
    *("angioatlas", "torch", "pydicom", "av", "tokenizers"),
    *("lancedb", "duckdb", "faiss-cpu", "faiss-gpu"),
)


@dataclass(frozen=True)
class Run:
    """One invocation that writes: an id that is never used again, and when it began (UTC)."""

    run_id: str
    started_at: dt.datetime

    @classmethod
    def begin(cls) -> Run:
        """Start a run now."""
        now = utc_now()
        return cls(f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}", now)


def utc_now() -> dt.datetime:
    """Return the present moment, time zone UTC, whole microseconds."""
    return dt.datetime.now(dt.UTC)


def software_version() -> str:
    """Return the version of this distribution."""
    return version("angioatlas")


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages whose results end in the store."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # faiss comes as one of two distributions
            continue
    return found
