"""Rankings that are kept, and the cursors into them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.types import Hit
from searchengine.web.problems import Problem
from searchengine.web.results import Cursor, Ranking, Rankings, digest
from tests.cli.hits import hit

A_LIST = list(range(1, 1001))


def asking(calls: list[int], of: list[int] = A_LIST) -> Callable[[int], list[int]]:
    def ask(count: int) -> list[int]:
        calls.append(count)
        return of[:count]

    return ask


def test_a_deep_page_asks_for_twice_as_much_as_is_known_or_for_what_it_needs() -> None:
    ranking, calls = Ranking[int]("s"), []  # type: ignore[var-annotated]
    for end in range(61, 1000, 60):
        ranking.reach(end, asking(calls))
    assert calls == [61, 122, 244, 488, 976]
    assert ranking.items == A_LIST[:976]
    ranking.reach(1001, asking(calls))
    assert ranking.complete
    ranking.reach(10**9, asking(calls))
    assert (calls[5:], ranking.items) == ([1952], A_LIST)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=20), st.integers(0, 200))
def test_every_page_is_as_if_all_had_been_ranked(ends: list[int], size: int) -> None:
    ranking, everything = Ranking[int]("s"), A_LIST[:size]
    for end in ends:
        ranking.reach(end, lambda count: everything[:count])
        assert ranking.items[:end] == everything[:end]
        assert not ranking.complete or ranking.items == everything


def test_where_the_index_changed_what_was_shown_stays_and_nothing_comes_twice() -> None:
    ranking = Ranking("s")  # type: ignore[var-annotated]
    first = [hit(1), hit(2, copies=2), hit(3)]  # its copies are 100 and 101
    ranking.reach(3, lambda _: first)
    ranking.reach(6, lambda _: [hit(3), hit(8), hit(100), hit(1), hit(9), hit(7)])
    assert [each.id for each in ranking.items] == [1, 2, 3, 8, 9, 7]


def test_a_ranking_that_does_not_grow_any_more_still_ends() -> None:
    ranking, calls = Ranking[int]("s"), []  # type: ignore[var-annotated]
    ranking.reach(4, asking(calls, [1, 2, 3, 4]))
    ranking.reach(5, asking(calls, [4, 3, 2, 1]))
    assert (ranking.complete, ranking.items) == (True, [1, 2, 3, 4])


def test_it_asks_for_more_until_there_is_enough_that_is_new() -> None:
    ranking, calls = Ranking("s"), []  # type: ignore[var-annotated]
    ranking.reach(1, lambda _: [hit(1, copies=5)])

    def ask(count: int) -> list[Hit]:
        calls.append(count)
        return [hit(number) for number in [*range(100, 105), *range(50)]][:count]

    ranking.reach(4, ask)
    assert (calls, [each.id for each in ranking.items]) == ([4, 8, 16], [1, 0, *range(2, 11)])


def test_it_does_not_grow_beyond_what_is_kept_before_it_must() -> None:
    rankings, calls = Rankings[int](500), []  # type: ignore[var-annotated]
    ranking = rankings.get("a", "s")
    for end in (300, 301, 480, 490):
        ranking.reach(end, asking(calls))
        rankings.count(ranking)
    assert (calls, rankings.total) == ([300, 484, 490], 0)


def test_the_sum_of_all_rankings_is_bounded_and_the_oldest_go() -> None:
    rankings = Rankings[int](1000)
    for number in range(200):
        ranking = rankings.get(str(number), "s")
        ranking.reach(100, lambda count: A_LIST[:count])
        rankings.count(ranking)
        assert rankings.total <= 1000
        rankings.get("0", "s")
    calls: list[int] = []
    rankings.get("0", "s").reach(100, asking(calls))
    rankings.get("199", "s").reach(100, asking(calls))
    assert calls == []
    rankings.get("150", "s").reach(100, asking(calls))
    assert calls == [100]


def test_empty_rankings_count_too() -> None:
    rankings = Rankings[int](1000)
    for number in range(500):
        rankings.count(rankings.get(str(number), "s"))
    assert len(rankings._kept) < 100


def test_one_that_is_larger_than_all_may_be_is_answered_but_not_kept() -> None:
    rankings = Rankings[int](500)
    ranking = rankings.get("a", "s")
    ranking.reach(900, asking([]))
    rankings.count(ranking)
    assert (len(ranking.items), rankings.total) == (900, 0)
    rankings.count(ranking)
    assert rankings.total == 0


def test_a_state_before_is_followed_while_it_is_kept_and_a_new_search_sees_the_new_one() -> None:
    rankings = Rankings[int](1000)
    old = rankings.get("a", "old")
    assert rankings.get("a", "new", "old") is old
    assert rankings.get("a", "new") is not old
    assert rankings.get("b", "new", "old").stamp == "new"


def test_threads_that_want_the_same_compute_it_once() -> None:
    rankings, calls = Rankings[int](1000), []  # type: ignore[var-annotated]

    def ask(count: int) -> list[int]:
        calls.append(count)
        time.sleep(0.05)
        return A_LIST[:count]

    threads = [
        threading.Thread(target=lambda: rankings.get("a", "s").reach(60, ask)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [60]


def test_an_error_leaves_the_ranking_as_it_was() -> None:
    ranking = Ranking[int]("s")

    def fail(count: int) -> list[int]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ranking.reach(10, fail)
    ranking.reach(10, asking([]))
    assert ranking.items == A_LIST[:10]


@given(st.integers(0, 2**40 - 1), st.text(max_size=20))
def test_a_cursor_is_read_as_it_was_written(offset: int, asked: str) -> None:
    cursor = Cursor(asked, "stamp", offset)
    assert Cursor.read(str(cursor), asked) == cursor
    with pytest.raises(Problem):
        Cursor.read(str(cursor), asked + "x")


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "é", "!!!!", "AAAA", "=", "\0", encoded({}), encoded([]), encoded(7)),
        *(encoded([offset, "a", "s"]) for offset in (-1, 2**40, 1.5, True, "1", None)),
        encoded([1, "a", 5]),
        base64.urlsafe_b64encode(b"[" * 200).decode(),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        Cursor.read(text, "a")
    assert caught.value.status == 400


@given(st.text() | st.binary(), st.text() | st.binary())
def test_digests_tell_things_apart(one: str | bytes, other: str | bytes) -> None:
    assert (digest(one) == digest(other)) == (one == other)
    assert digest(one, other) != digest(other, one) or one == other
