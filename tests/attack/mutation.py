"""Hostile variants of valid inputs; all that is random comes from the generator that is given."""

import json
import unicodedata
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

SIZES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 255, 256, 1 << 31, 1 << 32, 1 << 63, -(1 << 63), 10**18, 10**30, 10**400),
    *(0.5, -0.0, 1e-320, 1e300, 1e308, float("inf"), float("-inf"), float("nan")),
)
TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "a\nb",
        "\r",
        "\r\n",
        "\0",
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x7f",
        "\x85",
        "\u2028",
    ),
    *("\ufeff", "\u200b", "a\u200bb", "\u202eabc", "e\u0301", "\u00e9", "\ud800", "\U0001f600", "\uffff", "I\u0307"),
    *(
        "|",
        "\\",
        "a|b",
        "a\\b",
        "\\|",
        "'",
        '"',
        "`",
        "$(id)",
        "${oc.env:HOME}",
        "${x}",
        "???",
        "%s",
        "{}",
        "{0}",
        "<b>",
    ),
    *("true", "null", "NaN", "1e5", "0x10", "1_000", "2024-01-01", "=", "a=b", "@", "#", "!!python/none", "&a", "*a"),
    *("a" * 300, "é" * 200, "/", "a/b", "a//b", "./a", "a/", "~", "~nobody", "C:\\a", "file:///a", "s3://a/b", "con"),
)

DEEP = "a nest without end"  # as JSON, a list in a list and so on; Python's writer would not write it


def number(rng: Random) -> Any:
    """Return a number that somebody may not have thought of."""
    return (
        rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randint(-(1 << rng.randint(1, 70)), 1 << rng.randint(1, 70))
    )


def text(rng: Random) -> str:
    """Return a text that somebody may not have thought of."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(rng.choice(TEXTS)[:8] or chr(rng.randrange(1, 0x250)) for _ in range(rng.randint(1, 6)))


def value(rng: Random) -> Any:
    """Return a value of any type that JSON and YAML have."""
    made: Sequence[Callable[[Random], Any]] = (
        number,
        text,
        lambda rng: rng.choice((None, True, False, [], {}, [[]], [None], {"": None})),
        lambda rng: [number(rng) for _ in range(rng.randint(1, 4))],
        lambda rng: [text(rng) for _ in range(rng.randint(1, 4))],
        lambda rng: {text(rng): number(rng)},
    )
    return DEEP if rng.random() < 0.03 else rng.choice(made)(rng)


def tree(rng: Random, root: Any) -> Any:
    """Return a copy of a nest of dictionaries and lists with a few of its nodes changed."""
    root = json.loads(json.dumps(root))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        root = changed(rng, root)
    return root


def changed(rng: Random, node: Any) -> Any:
    """Return a nest with one node changed, in place where that can be."""
    if not isinstance(node, dict | list) or not node or rng.random() < 0.15:
        return value(rng)
    key: Any = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    if isinstance(node[key], dict | list) and rng.random() < 0.8:
        node[key] = changed(rng, node[key])
        return node
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[text(rng)] = node.pop(key)
    elif kind == 1:
        node.insert(key, node[key])
    elif kind == 2 and isinstance(node[key], str):
        node[key] = altered(rng, node[key])
    elif kind == 3 and isinstance(node[key], int | float):
        node[key] = number(rng)
    else:
        node[key] = value(rng)
    return node


def altered(rng: Random, given: str) -> str:
    """Return a text with something hostile in it."""
    place = rng.randint(0, len(given))
    if rng.random() < 0.2:
        return unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKC")), given)
    return given[:place] + text(rng) + given[place + rng.choice((0, 0, 1, 3)) :]


def data(rng: Random, given: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return the bytes of a file, changed in one place or in several.

    Args:
        rng: the source of all that is random here.
        given: a valid file.
        others: files of the same kind, pieces of which may come into it.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        kind = rng.randrange(9)
        place = rng.randrange(len(given)) if given else 0
        # Headers are where it hurts.
        place = min(place, rng.choice((16, 64, 256))) if rng.random() < 0.4 else place
        length = rng.choice((1, 2, 4, 8, rng.randint(1, max(1, len(given)))))
        piece = given[place : place + length]
        if kind == 0 and given:
            given = given[:place] + bytes([given[place] ^ 1 << rng.randrange(8)]) + given[place + 1 :]
        elif kind == 1:
            given = given[:place]
        elif kind == 2:
            given = given[:place] + rng.randbytes(length) + given[place:]
        elif kind == 3:
            given = given[:place] + piece * rng.choice((2, 2, 3, 50)) + given[place + length :]
        elif kind == 4:
            given = given[:place] + given[place + length :]
        elif kind == 5:
            width = rng.choice((1, 2, 4, 8))
            size = (rng.choice(SIZES) & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("little", "big")))
            given = given[:place] + size + given[place + width :]
        elif kind == 6 and others:
            other = rng.choice(others)
            given = given[:place] + other[rng.randrange(len(other) + 1) :]
        elif kind == 7:
            given = given[:place] + bytes(len(piece)) + given[place + length :]
        else:
            there = rng.randint(0, len(given))
            given = given[:there] + piece + given[there:]
    return given[: 1 << 22]


def lines(rng: Random, given: str, separator: str = "\t") -> bytes:
    """Return a text of lines and fields as a file, changed in its fields, its lines, its ends or its encoding."""
    rows = given.split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(rows))
        kind = rng.randrange(8)
        fields = rows[place].split(separator)
        field = rng.randrange(len(fields))
        if kind == 0:
            fields[field] = text(rng)
        elif kind == 1:
            fields[field] = altered(rng, fields[field])
        elif kind == 2:
            fields.insert(field, text(rng))
        elif kind == 3:
            del fields[field]
        elif kind == 4:
            fields[field] = rng.choice(rows).split(separator)[-1]
        elif kind == 5:
            rows.insert(place, rows[place])
        elif kind == 6:
            rng.shuffle(fields)
        else:
            fields[field] = f'"{fields[field]}' + rng.choice(("", '"', '""', '"x'))
        rows[place] = separator.join(fields)
    joined = rng.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n")).join(rows)
    kind = rng.randrange(12)
    if kind == 0:
        return b"\xef\xbb\xbf" + joined.encode(errors="surrogatepass")
    if kind == 1:
        return joined.encode(rng.choice(("utf-16", "utf-32", "latin-1", "cp1252", "utf-7")), errors="replace")
    made = joined.encode(errors="surrogatepass")
    return data(rng, made) if kind in (2, 3) else made


def as_json(root: Any) -> bytes:
    """Return a nest as JSON, with what JSON does not have (NaN, lone surrogates) as Python writes it."""
    return json.dumps(root).replace(json.dumps(DEEP), "[" * 50_000 + "]" * 50_000).encode()
