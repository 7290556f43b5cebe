"""Parts of files: what a range names, and how its rows are read."""

from dataclasses import dataclass
from typing import Any

from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.errors import JobError, NotFound
from streamjob_runtime.formats.base import BadFile, BadRecord, TooLarge
from streamjob_runtime.formats.sifted import Sifted
from streamjob_runtime.stores.base import Entry, Store


@dataclass(frozen=True, slots=True)
class FilePart:
    """The records `[first, last)` of a file that has `total`."""

    file: Entry
    first: int
    last: int
    total: int

    @classmethod
    def of(cls, file: Entry, total: int, limit: int | None) -> "FilePart":
        """The first records of a file, at most `limit`."""
        return cls(file, 0, total if limit is None else min(total, limit), total)

    def following(self, limit: int | None) -> "FilePart":
        """The records behind this part, at most `limit`."""
        last = self.total if limit is None else min(self.total, self.last + limit)
        return FilePart(self.file, self.last, last, self.total)

    @property
    def rows(self) -> int:
        """How many records it has, bad ones too."""
        return self.last - self.first

    @property
    def is_last(self) -> bool:
        """Whether it ends where the file ends."""
        return self.last == self.total

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the file."""
        return self.rows == self.total

    def to_json(self) -> dict[str, Any]:
        """The form that the log keeps."""
        file = self.file
        return {
            "key": file.key,
            "size": file.size,
            "version": file.version,
            "modified": file.modified_ms,
            "rows": [self.first, self.last, self.total],
        }

    @classmethod
    def from_json(cls, value: Any) -> "FilePart":
        """The inverse of `to_json`."""
        return cls(Entry(value["key"], value["size"], value["modified"], value["version"]), *value["rows"])


class FileUnusable(JobError):
    """A file is gone, or is no longer what was listed."""


class FileReader:
    """Reads whole files of one store. May be called by several threads."""

    def __init__(self, whose: str, store: Store, decoder: FileDecoder, most: int, decoding: Decoding = unnamed) -> None:
        self._whose = whose
        self._store = store
        self._decoder = decoder
        self._most = most
        self._decoding = decoding

    def read_beside(self, file: Entry, others: int) -> Sifted | None:
        """The records of the file, as `read` gives them; None if it takes more than one of so many files may."""
        return self._read(file, self._most // others)

    def read(self, file: Entry) -> Sifted:
        """What became of its records. Raises `FileUnusable`; `JobError` if it cannot be decoded or is too large."""
        rows = self._read(file, self._most)
        if rows is None:
            raise JobError(
                f"{self._where(file)} becomes more than {self._most >> 20} MiB when it is unpacked, which is what one "
                "file may of the memory that the job has. Write it in smaller files, or give the job more memory "
                "(spec.resources.limits.memory on a cluster)."
            )
        return rows

    def place(self, file: Entry) -> str:
        """Where the file is, whole."""
        return f"{self._store.url.rstrip('/')}/{file.key}"

    def _where(self, file: Entry) -> str:
        return f"{self._whose}: the file {self.place(file)}"

    def _read(self, file: Entry, most: int) -> Sifted | None:
        where = self._where(file)
        try:
            data = self._store.read(file.key)
            now = self._store.stat(file.key)  # behind the read: what was read is then of the version that was listed
        except NotFound:
            raise FileUnusable(f"{where} is gone, and a batch needs it. {_REMEDY}") from None
        if (len(data), now.version) != (file.size, file.version):
            raise FileUnusable(f"{where} was changed since it was listed, and a batch needs it as it was. {_REMEDY}")
        try:
            with self._decoding(where):
                return self._decoder.sift(file.key, data, most)
        except TooLarge:
            return None
        except BadRecord as e:
            aside = "" if isinstance(e, BadFile) else ", or say by onBadRecord what becomes of such records"
            remedy = e.remedy or f"Correct the file or take it away{aside}"
            raise JobError(f"{where}, line {e.record + 1}: ", e.reason, ".", e.begins(), f" {remedy}.") from None


_REMEDY = "Put it back as it was, or start the job with a new checkpoint location."
