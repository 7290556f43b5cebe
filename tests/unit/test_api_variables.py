"""Variables in the values of a manifest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_api.variables import Filled, Filler

VALUES = {"HOST": "kafka", "PORT": "9092", "EMPTY": "", "NESTED": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${HOST}:${PORT}", "kafka:9092"),
        ("${NONE:-localhost}:1", "localhost:1"),
        ("${HOST:-localhost}", "kafka"),
        ("${NONE:-}", ""),
        ("${EMPTY:-default}", ""),
        ("${NESTED}", "${HOST}"),
        ("$${HOST} costs $5 and $HOST", "${HOST} costs $5 and $HOST"),
        ("$$${HOST}", "$${HOST}"),
    ],
)
def test_what_a_variable_becomes(text: str, filled: str) -> None:
    assert Filler(VALUES).fill(text) == Filled(filled)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a ${NONE} b", "the variable NONE has no value", "set it (--set NONE=value), or, if it is no variable"),
        ("${HOSTS}", "the variable HOSTS has no value", 'did you mean "HOST"? set it'),
        ("${a b}", "${a b} is no variable", "write ${NAME} or ${NAME:-default}, or, if it is no variable, write $${"),
        ("${", "${} is no variable", "write ${NAME}"),
        ("${HOST", "${HOST} is no variable", "write ${NAME}"),
    ],
)
def test_what_cannot_be_filled_is_said(text: str, message: str, hint: str) -> None:
    filled = Filler(VALUES).fill(text)
    assert filled.text == text
    ((said, remedy),) = filled.wrong
    assert said == message
    assert remedy.startswith(hint)


@given(st.text())
def test_any_text_can_be_written_literally(text: str) -> None:
    assert Filler({}).fill(text.replace("${", "$${")) == Filled(text)
