import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from searchengine.catalog import below, lift

NAMES = st.sampled_from(["a", "b", "ab", "#a", "!b", "[ab]", "a*", "raw", "*", "**", "?"])
PATTERNS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "/", " "]),
)
PATHS = st.tuples(st.lists(NAMES, min_size=1, max_size=4).map("/".join), st.sampled_from(["", "/"]))
FOLDERS = st.lists(NAMES, min_size=1, max_size=2).map("/".join)


def test_below():
    assert below("/a/b/c", "/a") == "b/c"
    assert below("/a", "/a") == ""
    assert below("/ab", "/a") is None
    assert below("/a", "/a/b") is None


@given(st.lists(PATTERNS, max_size=3), FOLDERS, PATHS.map("".join))
def test_lifted_patterns_say_of_a_path_below_the_folder_what_the_patterns_said(
    patterns, under, path
):
    # All but the files right here: nobody means that.
    assume(not any(re.fullmatch(r"!?/?(\*\*/)+ *", pattern) for pattern in patterns))
    said = GitIgnoreSpec.from_lines(patterns).check_file(path).include
    lifted = GitIgnoreSpec.from_lines(lift(patterns, under))
    assert lifted.check_file(f"{under}/{path}").include == said
    if not path.startswith(f"{under}/"):
        assert lifted.check_file(path).include is None


@pytest.mark.parametrize("nothing", ["", "  ", "# raw", "/"])
def test_a_line_that_says_nothing_is_not_lifted(nothing):
    assert lift([nothing, "x"], "a") == ("/a/**/x",)


def test_patterns_of_the_folder_itself_are_as_they_were():
    assert lift(["raw/", "/"], "") == ("raw/", "/")
