"""How the pixels of a file are stored."""

from __future__ import annotations

from enum import StrEnum


class TransferSyntax(StrEnum):
    """The ways in which the files of phantoms can be written."""

    EXPLICIT = "explicit"
    RLE = "rle"
    JPEG = "jpeg"
    JPEG_LOSSLESS = "jpeg-lossless"

    @property
    def uid(self) -> str:
        """Its UID (DICOM PS3.6, table A-1)."""
        return {
            TransferSyntax.EXPLICIT: "1.2.840.10008.1.2.1",
            TransferSyntax.RLE: "1.2.840.10008.1.2.5",
            TransferSyntax.JPEG: "1.2.840.10008.1.2.4.50",
            TransferSyntax.JPEG_LOSSLESS: "1.2.840.10008.1.2.4.70",
        }[self]

    @property
    def lossy(self) -> bool:
        """Whether pixels come back only nearly as they were."""
        return self is TransferSyntax.JPEG


DEFAULT_SYNTAX = TransferSyntax.JPEG
"""As much equipment stores its cines; of the four, the smallest file."""
