"""Example pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import QueryError
from searchengine.query import embed_example
from tests.fakes import FakeEncoder
from tests.pictures import jpeg


def test_a_path_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "example.jpg"
    path.write_bytes(jpeg(7))
    first, *others = (embed_example(FakeEncoder(), each) for each in (path, str(path), jpeg(7)))
    assert first.shape == (1, FakeEncoder().spec.dim)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    "example",
    [b"", b"text", jpeg(1)[:200], "/no/such/file.jpg", "/", "", "~nobody/a.jpg", "a\0b.jpg"],
)
def test_what_is_no_picture_is_an_error_of_one_line(example: bytes | str) -> None:
    with pytest.raises(QueryError, match="example") as caught:
        embed_example(FakeEncoder(), example)
    assert len(str(caught.value).splitlines()) == 1
