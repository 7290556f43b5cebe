"""Texts of others, as a terminal may be given them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.printable import json_text, printable


@given(st.text())
def test_nothing_is_left_that_cannot_be_seen(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, keep="\n").replace("\n", "").isprintable()


@given(st.text())
def test_json_says_the_same_and_can_be_seen(text: str) -> None:
    line = json_text({"said": text})
    assert line.isprintable()
    assert json.loads(line) == {"said": text}


@pytest.mark.parametrize("text", ["", "a b", "Größe 5 µm", "日本語", "x=1"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert printable(text) == text
    assert json_text(text) == json.dumps(text, ensure_ascii=False)


def test_controls_are_shown_and_not_sent() -> None:
    assert printable("a\x1b[2Jb\u202ec\x9bd\ne") == r"a\x1b[2Jb\u202ec\x9bd\ne"
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"
