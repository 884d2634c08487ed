"""The order and the groups of hits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from searchengine.query.arranging import NO_DATE, arrange
from tests.cli.hits import hit

DATES = st.sampled_from(
    [None, "2024-07-01T10:00:00", "2024-07-01T10:00:00+02:00", "2024-07-02T00:00:00", "2019-01-01"]
)


def test_one_group_without_a_name_keeps_the_order_and_counts_from_the_offset() -> None:
    (group,) = arrange([hit(5), hit(3)], offset=10)
    assert group.name == ""
    assert [(each.rank, each.hit.id) for each in group.members] == [(11, 5), (12, 3)]


def test_no_hits_are_no_groups() -> None:
    assert arrange([], "date", "day") == []


def test_by_date_the_newest_is_first_and_the_rank_stays() -> None:
    dates = ["2020-01-01T10:00:00", None, "2024-07-01T10:00:00+09:00", "2024-07-01T11:00:00-09:00"]
    (group,) = arrange([hit(n, taken_at=date) for n, date in enumerate(dates)], "date")
    assert [each.rank for each in group.members] == [4, 3, 1, 2]


def test_days_and_folders_come_in_the_order_of_their_best_hit() -> None:
    hits = [
        hit(1, path="/a/1.jpg", taken_at="2020-01-01T10:00:00"),
        hit(2, path="/b/2.jpg"),
        hit(3, path="/a/3.jpg", taken_at="2024-01-01T10:00:00"),
        hit(4, path="/b/4.jpg", taken_at="2020-01-01T23:00:00"),
    ]
    days = arrange(hits, by="day")
    assert [group.name for group in days] == ["2020-01-01", NO_DATE, "2024-01-01"]
    assert [[each.rank for each in group.members] for group in days] == [[1, 4], [2], [3]]
    assert [group.name for group in arrange(hits, by="folder")] == ["/a", "/b"]
    newest_first = arrange(hits, "date", "day")
    assert [group.name for group in newest_first] == ["2024-01-01", "2020-01-01", NO_DATE]


@given(
    st.lists(DATES, max_size=12),
    st.sampled_from(["relevance", "date"]),
    st.sampled_from([None, "day", "folder"]),
)
def test_every_hit_is_shown_once(dates, order, by) -> None:  # type: ignore[no-untyped-def]
    hits = [hit(number, taken_at=date) for number, date in enumerate(dates)]
    members = [each for group in arrange(hits, order, by) for each in group.members]
    assert sorted((each.rank, each.hit.id) for each in members) == [
        (number + 1, number) for number in range(len(dates))
    ]
