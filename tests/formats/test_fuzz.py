"""Damaged files of every kind: a reader says in one sentence what is wrong, or returns what makes sense.

`python3.11 build_addon.py fuzz --minutes N` looks at many more, other ones each time.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.edits.masks import mask_from_file
from backend.errors import OmomiError
from backend.formats.mesh_files import load_scan
from backend.formats.tables import load_tables
from backend.protocol.framing import Decoder
from backend.protocol.recipe import read_recipe

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
EXAMPLES = int(os.environ.get("OMOMI_FUZZ_EXAMPLES", "0"))
SECONDS = 5.0
NUMBERS = (
    b"-1", b"0", b"1", b"3.5", b"255", b"65536", b"4294967295", b"1000000000000", b"9" * 26, b"9" * 400, b"1e308",
    b"1e400", b"nan", b"inf", b'"x"', b"[[[[]]]]", b"\xef\xbb\xbf", b"\0",
)  # fmt: skip
WORDS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20, 1 << 28, 0x7FC00000)

place = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), place, st.integers(0, 255)),
        st.tuples(st.just("bit"), place, st.integers(0, 7)),
        st.tuples(st.just("word"), place, st.sampled_from(WORDS)),
        st.tuples(st.just("number"), place, st.sampled_from(NUMBERS)),
        st.tuples(st.just("cut"), place, st.none()),
        st.tuples(st.just("drop"), place, st.integers(1, 200)),
        st.tuples(st.just("repeat"), place, st.integers(1, 200)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, changes: list[tuple]) -> bytes:
    found = bytearray(data)
    for kind, where, value in changes:
        at = int(where * len(found))
        match kind:
            case "byte" if found:
                found[at] = value
            case "bit" if found:
                found[at] ^= 1 << value
            case "word":
                found[at : at + 4] = struct.pack("<I", value)
            case "cut":
                del found[at:]
            case "drop":
                del found[at : at + value]
            case "repeat":
                found[at:at] = found[at : at + value]
            case "number":
                numbers = list(re.finditer(rb"\d+(\.\d+)?", found))
                if numbers:
                    one = numbers[int(where * len(numbers))]
                    found[one.start() : one.end()] = value
    return bytes(found)


def scan(path: Path) -> None:
    found = load_scan(path)
    assert found.points.ndim == 2 and found.points.shape[1] == 3 and np.isfinite(found.points).any()
    if found.faces is not None and len(found.faces):
        assert 0 <= found.faces.min() <= found.faces.max() < len(found.points)


def frames(path: Path) -> None:
    decoder = Decoder()
    decoder.feed(path.read_bytes())
    decoder.close()


READERS: dict[str, Callable[[Path], object]] = {
    ".npy": lambda path: mask_from_file(path, 8),
    ".json": read_recipe,
    ".profile": lambda path: load_tables(path, 1 << 20, lambda arrays, metadata: None),
    ".bin": frames,
}


def look(path: Path) -> None:
    """Read a file that may be damaged in any way."""
    began = time.process_time()
    try:
        READERS.get(path.suffix, scan)(path)
    except OmomiError as error:
        assert error.message.endswith(".") and "\n" not in error.message
        # the reader itself said what is wrong, not the net under all readers
        assert "complete" not in error.message, error.detail
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("source", CORPUS, ids=lambda path: path.name)
def test_every_file_of_the_corpus_is_read(source: Path) -> None:
    READERS.get(source.suffix, scan)(source)


@pytest.mark.parametrize("source", CORPUS, ids=lambda path: path.name)
@settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=edits)
def test_a_damaged_file_is_refused_in_a_sentence_or_read_as_a_mesh(
    source: Path, changes: list[tuple], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{source.suffix}"
    path.write_bytes(damaged(source.read_bytes(), changes))
    look(path)
