"""Seeded damage to a file's bytes: what transfer, disks, foreign writers and malice do to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xff" * 8,
)
WORDS = (
    b"NaN",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"\xff\xfe",
    b"0",
    b"true",
    b"../../x",
    b"{0:>9999999999}",
)
"""Values that readers stumble over, in binary and in text."""


def flip(data: bytearray, source: random.Random) -> None:
    """Flip a few bits."""
    for _ in range(source.choice((1, 1, 2, 8, 32))):
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def overwrite(data: bytearray, source: random.Random) -> None:
    """Write an extreme number somewhere, most often into the head."""
    value = source.choice(INTERESTING)
    place = source.randrange(min(len(data), source.choice((64, 512, len(data)))))
    data[place : place + len(value)] = value


def cut(data: bytearray, source: random.Random) -> None:
    """End too early."""
    del data[source.randrange(1, len(data) + 1) :]


def drop(data: bytearray, source: random.Random) -> None:
    """Lose a part in the middle."""
    place = source.randrange(len(data))
    del data[place : place + source.choice((1, 2, 4, 64, 512))]


def repeat(data: bytearray, source: random.Random) -> None:
    """Have a part twice."""
    place = source.randrange(len(data))
    part = data[place : place + source.choice((1, 4, 64, 512))]
    data[place:place] = part * source.choice((1, 1, 16))


def swap(data: bytearray, source: random.Random) -> None:
    """Put one part in place of another."""
    size = source.choice((2, 4, 16, 128))
    a = source.randrange(len(data))
    b = source.randrange(len(data))
    data[a : a + size] = data[b : b + size]


def number(data: bytearray, source: random.Random) -> None:
    """Put another value in place of a number or word of a text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?|\"[^\"]*\"|[A-Za-z]+", bytes(data[:100_000])))
    if found:
        one = source.choice(found)
        data[one.start() : one.end()] = source.choice(WORDS)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    overwrite,
    cut,
    drop,
    repeat,
    swap,
    number,
)


def mutated(data: bytes, source: random.Random) -> bytes:
    """A damaged copy: one to four mutations."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        if changed:
            source.choice(MUTATIONS)(changed, source)
    return bytes(changed)
