"""Naming what is decoded, for the case that a library ends the process on it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Given the words for a file or a table, what is to be around its decoding. From any thread.
Decoding = Callable[[str], AbstractContextManager[None]]


def unnamed(what: str) -> AbstractContextManager[None]:
    """A `Decoding` that tells nobody."""
    del what
    return nullcontext()
