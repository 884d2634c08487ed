"""When a folder in which things happen is due."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.watching import Timing
from searchengine.watching.run import Debounce

TIMING = Timing(quiet=2, at_most=30, retry=5)


def test_a_folder_is_due_once_it_has_been_quiet() -> None:
    debounce = Debounce(TIMING)
    debounce.note("a", 10)
    debounce.note("b", 11)
    assert debounce.take(11.9) == []
    assert debounce.take(12) == ["a"]
    assert debounce.take(12.9) == []
    assert debounce.take(13) == ["b"]
    assert debounce.take(99) == []


def test_one_that_never_is_quiet_is_due_half_a_minute_after_the_first_event() -> None:
    debounce = Debounce(TIMING)
    due = []
    for second in range(100):
        debounce.note("a", second)
        due += [second] * bool(debounce.take(second))
    assert due == [30, 61, 92]


def test_what_is_demanded_is_due_at_once_but_not_during_a_pause() -> None:
    debounce = Debounce(TIMING)
    debounce.demand(["b", "a"])
    debounce.pause(10)
    assert debounce.take(14.9) == []
    assert debounce.take(15) == ["a", "b"]


@settings(max_examples=50)
@given(st.lists(st.floats(0, 200), max_size=40))
def test_every_event_is_followed_by_a_run(times: list[float]) -> None:
    debounce = Debounce(TIMING)
    events, runs = sorted(times), []
    for now in range(240):
        while events and events[0] <= now:
            debounce.note("a", events.pop(0))
        runs += [now] * bool(debounce.take(now))
    for each in times:
        assert any(each <= run <= each + 31 for run in runs)
    assert len(runs) <= len(times)
