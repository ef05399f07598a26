"""Deterministic damage to files: what transfers, disks and bad writers do, and worse."""

import struct
from collections.abc import Callable

import numpy as np

Damage = Callable[[bytearray, np.random.Generator], bytearray]


def bit_flips(data: bytearray, rng: np.random.Generator) -> bytearray:
    for at in _places(data, rng, int(rng.integers(1, 30))):
        data[at] ^= 1 << int(rng.integers(8))
    return data


def byte_run(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Overwrite a run with zeros, ones, or noise."""
    (at,) = _places(data, rng, 1)
    size = int(rng.integers(1, 200))
    kind = rng.integers(3)
    run = rng.bytes(size) if kind == 0 else bytes([0 if kind == 1 else 255]) * size
    data[at : at + size] = run[: len(data) - at]
    return data


def truncation(data: bytearray, rng: np.random.Generator) -> bytearray:
    (at,) = _places(data, rng, 1)
    return data[:at]


def length_field(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Put an extreme length into something that looks like an element."""
    at = _element(data, rng)
    extreme = [0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, len(data), int(rng.integers(2**31))]
    value = int(rng.choice(np.array(extreme, dtype=np.int64)))
    if rng.random() < 0.5:
        struct.pack_into("<H", data, at + 6, value & 0xFFFF)
    else:
        struct.pack_into("<L", data, at + int(rng.choice([4, 8])), value)
    return data


def tag_swap(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Exchange the tags of two elements, or make one a pixel data or sequence tag."""
    one, other = _element(data, rng), _element(data, rng)
    if rng.random() < 0.5:
        data[one : one + 4], data[other : other + 4] = data[other : other + 4], data[one : one + 4]
    else:
        tags = [0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x52009229, 0x00280008, 0x00020010]
        tag = int(rng.choice(tags))
        struct.pack_into("<HH", data, one, tag >> 16, tag & 0xFFFF)
    return data


def splice(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Cut a piece out, double it, or move it elsewhere."""
    start, stop, to = sorted(_places(data, rng, 2)) + _places(data, rng, 1)
    piece = data[start:stop][:100_000]
    kind = rng.integers(3)
    if kind == 0:
        return data[:start] + data[stop:]
    if kind == 1:
        return data[:to] + piece + data[to:]
    return data[:to] + piece + data[to + len(piece) :]


DAMAGES: tuple[Damage, ...] = (bit_flips, byte_run, truncation, length_field, tag_swap, splice)


def mutant(original: bytes, number: int) -> bytes:
    """Make mutant `number` of a file: one to three kinds of damage, the same every time."""
    rng = np.random.default_rng([number, len(original)])
    data = bytearray(original)
    for _ in range(int(rng.integers(1, 4))):
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        if len(data) > 300:
            data = damage(data, rng)
    return bytes(data)


def _places(data: bytearray, rng: np.random.Generator, count: int) -> list[int]:
    """Choose offsets, half of the time in the header, where damage does most."""
    end = min(len(data), 4000) if rng.random() < 0.5 else len(data)
    low = 132 if rng.random() < 0.9 else 0
    return [int(at) for at in rng.integers(low, max(end - 1, low + 1), size=count)]


def _element(data: bytearray, rng: np.random.Generator) -> int:
    """Choose a place that looks like the start of an explicit element, or any place."""
    (near,) = _places(data, rng, 1)
    for at in range(near, min(near + 400, len(data) - 16)):
        if data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper():
            return at
    return min(near, len(data) - 16)
