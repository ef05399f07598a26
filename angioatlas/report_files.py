"""Reports as files: a page, and the figures behind it as JSON beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from analytics.report.document import Document
from core.errors import UsageError


class Reported(ABC):
    """A result that has a report."""

    @abstractmethod
    def document(self) -> Document:
        """Return the report."""

    def write(self, html: Path) -> tuple[Path, Path]:
        """Write the report, and the figures behind it as JSON beside it; return both paths.

        Each file is written whole or not at all.

        Raises
        ------
        UsageError
            They cannot be written there.
        """
        document, beside = self.document(), html.with_suffix(".json")
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
