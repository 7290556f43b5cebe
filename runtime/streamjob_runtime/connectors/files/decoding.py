"""From the bytes of a file to its rows."""

from dataclasses import dataclass, field

import pyarrow as pa

from streamjob_runtime.connectors.files.folders import Folders
from streamjob_runtime.formats.base import Decoder
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.compression import decompress, is_compressed
from streamjob_runtime.formats.sifted import Misfits, Sifted, no_misfits, with_all


@dataclass(frozen=True, slots=True)
class FileDecoder:
    """Decodes whole files. May be used by several threads."""

    decoder: Decoder
    columns: Columns = field(default_factory=lambda: Columns(()))
    folders: Folders = field(default_factory=lambda: Folders(""))
    packs: bool = False  # whether the format itself packs its values, as Parquet does
    lenient: bool = False  # whether bad records are put aside
    misfits: Misfits = no_misfits

    def may_grow(self, key: str) -> bool:
        """Whether a file of that name may become far more than it is."""
        return self.packs or is_compressed(key)

    def decode(self, key: str, data: bytes, most: int | None = None) -> pa.Table:
        """The rows of the file. Raises `BadRecord`, and `TooLarge` if it would become more than `most` bytes."""
        content = decompress(key, data, most)
        rows = self.folders.put(self.decoder.decode(content, most), key)
        self.columns.look(rows, lambda: self._names(key, content), lambda row: self.decoder.line_of(content, row))
        return rows

    def sift(self, key: str, data: bytes, most: int | None = None) -> Sifted:
        """What became of the records of the file. Raises as `decode`, where bad records are not put aside."""
        if not self.lenient:
            return Sifted(self.decode(key, data, most))
        content = decompress(key, data, most)
        unfit = with_all((self.columns.lacking, self.misfits))
        found = self.decoder.sift(content, lambda rows: unfit(self.folders.put(rows, key)), most)
        rows = self.folders.put(found.rows, key)
        self.columns.look(rows, lambda: self._names(key, content), lambda row: self.decoder.line_of(content, row))
        return Sifted(rows, found.bad)

    def _names(self, key: str, content: bytes) -> list[str] | None:
        found = self.decoder.names(content)
        return None if found is None else [*found, *self.folders.names(key)]
