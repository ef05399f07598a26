"""Reports as files: a page, and the figures behind it as JSON beside it."""

from __future__ import annotations

from pathlib import Path

from analytics.report.document import Document
from core.errors import UsageError


def write_report(document: Document, html: Path) -> tuple[Path, Path]:
    """Write a report, each file whole or not at all, and return both paths.

    Raises
    ------
    UsageError
        They cannot be written there.
    """
    beside = html.with_suffix(".json")
    for path, text in ((html, document.html()), (beside, document.json())):
        part = path.with_name(f"{path.name}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}", "name another file"
            ) from error
    return html, beside
