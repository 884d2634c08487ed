"""Images in the order of their age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.catalog import Catalog
from tests.catalog.toys import apply, picture

SECOND = 10**9


def taken(name: str, taken_at: str | None, written: str = "2030-01-01T00:00:00") -> object:
    """An image with a date of its camera, or of its file by the local clock."""
    one = picture(name)
    mtime_ns = int(datetime.fromisoformat(written).timestamp()) * SECOND
    file, info = replace(one.file, mtime_ns=mtime_ns), replace(one.info, taken_at=taken_at)
    return replace(one, file=file, info=info)


def newest(
    catalog: Catalog,
    ids: Iterable[int] | None = None,
    offset: int = 0,
    limit: int = 99,
    *,
    by_folder: bool = False,
) -> list[int]:
    with catalog.reading() as rows:
        return rows.newest(ids, offset, limit, by_folder=by_folder)


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    dates = ["2024-07-01T10:00:00", "2024-07-01T10:00:01+09:00", None, "2024-07-01T09:59:59-09:00"]
    added = [
        taken(name, date, "2024-07-01T10:00:00")
        for name, date in zip(["b/1", "b/2", "a", "a/x/3"], dates, strict=True)
    ]
    apply(catalog, added=added)
    return catalog


def test_by_the_cameras_clock_or_else_the_files_and_equal_ones_by_id(filled: Catalog) -> None:
    assert newest(filled) == [2, 3, 1, 4]


def test_pages_and_only_some(filled: Catalog) -> None:
    assert newest(filled, None, 1, 2) == [3, 1]
    assert newest(filled, None, 9, 2) == []
    assert newest(filled, np.array([4, 1, 77])) == [1, 4]
    assert newest(filled, []) == []


def test_by_folder_its_images_stand_together(filled: Catalog) -> None:
    assert newest(filled, by_folder=True) == [3, 4, 2, 1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.integers(0, 60), st.integers(0, 60))
def test_a_page_is_a_slice_of_all(big: Catalog, offset: int, limit: int) -> None:
    assert newest(big, None, offset, limit) == newest(big)[offset : offset + limit]


@pytest.fixture
def big(catalog: Catalog) -> Catalog:
    names = (f"{n % 3}/{n}" for n in range(50))
    apply(catalog, added=[taken(each, f"20{n % 7:02}-01-01") for n, each in enumerate(names)])
    return catalog


def test_any_number_of_ids_is_one_question(big: Catalog) -> None:
    assert newest(big, range(1, 100_000)) == newest(big)


def test_times_that_no_clock_has_come_last_or_first_but_are_no_error(catalog: Catalog) -> None:
    odd = [taken(str(n), None) for n in range(2)]
    ends = (-(2**63), 2**63 - 1)
    added = [replace(x, file=replace(x.file, mtime_ns=n)) for x, n in zip(odd, ends, strict=True)]  # type: ignore[type-var,attr-defined]
    apply(catalog, added=added)
    assert sorted(newest(catalog)) == [1, 2]
