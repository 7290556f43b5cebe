"""What a format is: bytes to rows and back."""

from typing import Protocol

import pyarrow as pa

from streamjob_runtime.excerpts import Excerpt, Words, said
from streamjob_runtime.formats.sifted import Misfits, Sifted


class BadRecord(ValueError):
    """A record that the format cannot decode.

    `reason`: what is wrong, where values are excerpts; `record` is its number in the input, from 0; `excerpt` its first
    characters; `remedy` what to do, where it is not the same as always. Whoever read the bytes adds where they came
    from.
    """

    def __init__(self, reason: str | Words, record: int, excerpt: str, remedy: str = "") -> None:
        self.reason = said(reason)
        super().__init__(self.reason.full)
        self.record = record
        self.excerpt = excerpt
        self.remedy = remedy

    def begins(self, quoted: bool = False) -> Excerpt:
        """A sentence with the record's beginning, and a blank before it; empty if nobody knows it."""
        shown = f"{self.excerpt!r}." if quoted else self.excerpt
        return Excerpt(f" It begins: {shown}" if self.excerpt else "", "")


class BadFile(BadRecord):
    """A file that is bad as a whole, so that no record of it can be told from another: damaged, or another's header."""


class TooLarge(ValueError):
    """Data that would become more than so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it becomes more than {most >> 20} MiB")
        self.most = most


class Decoder(Protocol):
    """Bytes to rows."""

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """The rows of a whole file, or of whole lines, in the schema the decoder was made with.

        Raises `BadRecord`, and `TooLarge` for a format that packs its values, where they become more than `most` bytes.
        """
        ...

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """The same with the bad records put aside, and as quick where there are none.

        Raises `BadFile` and `TooLarge`.
        """
        ...

    def names(self, data: bytes) -> list[str] | None:
        """The names that stand in the data, of its first records where each has its own; None: there are none."""
        ...

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """The number of the record that became that row, as `BadRecord` has it, and its first characters."""
        ...


class Encoder(Protocol):
    """Rows to the bytes of one file."""

    suffix: str  # of file names, with the dot: ".parquet"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file that holds these rows. The same rows give the same bytes."""
        ...
