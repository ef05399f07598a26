"""From reports to token numbers: the WordPiece vocabulary of PubMedBERT, uncased.

Only the vocabulary is taken from a file.  The rules around it (normalisation, splitting, special
tokens) are BERT's and stand here, so a file can neither change nor slow them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from core.errors import EncoderError, NotFoundError

VOCABULARY_SIZE = 30522
MAX_TOKENS = 512
"""Tokens of a text, [CLS] and [SEP] included: the model has no position beyond."""
MAX_CHARACTERS = 100_000
"""Of a text, leading white space aside; the rest is dropped before anything is computed.

510 words or parts of words fill a text, so no report that people write is changed by this.
"""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Of a vocabulary; PubMedBERT's is below one."""
EMPTY_REPORT = "No Report"
"""What the original puts where a study has no text."""
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")
BASE_MODEL = "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext"

_SPECIALS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
_HINT = f"offer vocab.txt or tokenizer.json of {BASE_MODEL}"


def find_vocabulary(folder: Path) -> Path:
    """Return the vocabulary file of a folder: `tokenizer.json`, else `vocab.txt`.

    Raises
    ------
    NotFoundError
        There is neither.
    """
    for name in VOCABULARY_FILES:
        if (folder / name).is_file():
            return folder / name
    needed = " or ".join(VOCABULARY_FILES)
    raise NotFoundError(f"no vocabulary in {folder}: expected a file {needed}", _HINT)


class Tokenizer:
    """Texts to token numbers.

    Parameters
    ----------
    vocabulary : mapping of str to int
        Every token and its number, as `Tokenizer.load` has checked them.
    """

    def __init__(self, vocabulary: dict[str, int]) -> None:
        wordpiece = tokenizers.Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
        wordpiece.normalizer = BertNormalizer(lowercase=True)
        wordpiece.pre_tokenizer = BertPreTokenizer()
        wordpiece.post_processor = BertProcessing(
            ("[SEP]", _SPECIALS["[SEP]"]), ("[CLS]", _SPECIALS["[CLS]"])
        )
        # As in the original, a special token that is written out in a text is that token.
        wordpiece.add_special_tokens(list(_SPECIALS))
        wordpiece.enable_truncation(MAX_TOKENS)
        self._wordpiece = wordpiece

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a vocabulary.

        Parameters
        ----------
        path : Path
            `vocab.txt` (a token a line) or `tokenizer.json`, of 16 MiB at most.

        Raises
        ------
        NotFoundError
            There is no such file.
        EncoderError
            It is not the vocabulary of PubMedBERT.
        """
        text = _read(path)
        tokens = _tokens_of_json(text, path.name) if path.suffix == ".json" else _lines(text)
        return cls(_checked(tokens, path.name))

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Turn texts into token numbers.

        Parameters
        ----------
        texts : sequence of str
            Of any length.  Empty ones and white space become "No Report".

        Returns
        -------
        int64 array of shape (texts, tokens)
            Token numbers: [CLS], the text, [SEP], then [PAD] up to the longest text; `tokens` is
            512 at most.
        int64 array of shape (texts, tokens)
            1 where there is a token, 0 for padding.
        """
        # One by one: a batch would start threads, which a later fork of the process cannot bear.
        rows = [self._wordpiece.encode(_plain(text)).ids for text in texts]
        ids = np.full((len(rows), max(map(len, rows), default=0)), _SPECIALS["[PAD]"], np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return ids, mask


def _plain(text: str) -> str:
    """Cut a text to what can matter, without halves of characters, which no tokenizer takes."""
    start = text.lstrip()[:MAX_CHARACTERS]
    return start.encode("utf-8", "ignore").decode("utf-8") or EMPTY_REPORT


def _read(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(f"the vocabulary {path} is not there", _HINT)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise EncoderError(
                f"{path.name} is too large for a vocabulary: expected {MAX_FILE_BYTES} bytes at "
                f"most, found {path.stat().st_size}",
                _HINT,
            )
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"the vocabulary {path.name} cannot be read as text", _HINT) from error


def _lines(text: str) -> list[str]:
    # Not splitlines(): some tokens are line separators of Unicode themselves.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def _tokens_of_json(text: str, name: str) -> list[str]:
    """Return the tokens of a `tokenizer.json` in the order of their numbers."""
    try:
        model = json.loads(text)["model"]
        kind, vocabulary = model["type"], model["vocab"]
        numbers = sorted(vocabulary.values())
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
        "".join(tokens).encode()  # JSON can spell halves of characters, which no tokenizer takes
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EncoderError(
            f"{name} is not a tokenizer: expected JSON with a model and its vocabulary", _HINT
        ) from error
    if kind != "WordPiece":
        raise EncoderError(f"{name}: expected a model WordPiece, found {str(kind)[:40]!r}", _HINT)
    if numbers != list(range(len(numbers))):
        raise EncoderError(
            f"{name}: expected tokens numbered from 0 without gaps, found other numbers", _HINT
        )
    return tokens


def _checked(tokens: list[str], name: str) -> dict[str, int]:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    found = {special: vocabulary.get(special) for special in _SPECIALS}
    if found != _SPECIALS:
        raise EncoderError(
            f"{name} is the vocabulary of another model: expected {_listed(_SPECIALS)}; "
            f"found {_listed(found)}",
            _HINT,
        )
    if len(tokens) != VOCABULARY_SIZE or len(vocabulary) != VOCABULARY_SIZE:
        twice = len(tokens) - len(vocabulary)
        raise EncoderError(
            f"{name} is the vocabulary of another model: expected {VOCABULARY_SIZE} tokens, "
            f"found {len(vocabulary)}" + (f" and {twice} of them again" if twice else ""),
            _HINT,
        )
    return vocabulary


def _listed(numbers: dict[str, int] | dict[str, int | None]) -> str:
    return ", ".join(
        f"{token} nowhere" if number is None else f"{token}={number}"
        for token, number in numbers.items()
    )
