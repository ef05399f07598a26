"""A small vocabulary of the right size: real WordPiece, few words, and filler up to 30522."""

from __future__ import annotations

import json
import string
from pathlib import Path

from embedder.encoders.tokenizer import VOCABULARY_SIZE

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["no", "report", "severe", "stenosis", "of", "the", "proximal", "lad", "is", "normal"]
_SIGNS = string.ascii_lowercase + string.digits


def vocabulary() -> list[str]:
    """Every token in the order of its number."""
    pieces = [f"##{sign}" for sign in _SIGNS] + ["##osis"]
    tokens = [*SPECIALS, *string.punctuation, *_SIGNS, *pieces, *WORDS]
    return tokens + [f"[unused{i}]" for i in range(VOCABULARY_SIZE - len(tokens))]


def write_vocabulary(folder: Path, tokens: list[str] | None = None) -> Path:
    """Write `vocab.txt`; return its path."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary() if tokens is None else tokens) + "\n", encoding="utf-8")
    return path


def write_tokenizer_json(folder: Path, **model: object) -> Path:
    """Write `tokenizer.json` with these changes to its model; return its path."""
    numbers = {token: number for number, token in enumerate(vocabulary())}
    content = {"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": numbers, **model}}
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
