"""Formats by name."""

import pyarrow as pa

from streamjob_runtime.formats.base import Decoder, Encoder
from streamjob_runtime.formats.csv import CsvDecoder, CsvEncoder
from streamjob_runtime.formats.json_lines import JsonDecoder, JsonEncoder
from streamjob_runtime.formats.parquet import ParquetDecoder, ParquetEncoder
from streamjob_runtime.formats.raw import RawDecoder
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.formats.wire import FORMATS


def make_decoder(name: str, schema: pa.Schema, *, header: bool = True, escape: str = '"') -> Decoder:
    """A decoder that gives the columns of `schema`, which must be of the types that `wire_schema` leaves.

    For csv: `header`, whether the first line names the columns, and `escape`, what stands before a quote within a
    quoted field. Raises ValueError for a format that is not there.
    """
    match name:
        case "text":
            return TextDecoder()
        case "json":
            return JsonDecoder(schema)
        case "csv":
            return CsvDecoder(schema, header, escape)
        case "parquet":
            return ParquetDecoder(schema)
        case "raw":
            return RawDecoder()
    raise ValueError(f'there is no format "{name}"; the formats are {", ".join(FORMATS)}')


def make_encoder(name: str) -> Encoder:
    """The encoder of json, csv or parquet files. Raises ValueError for another format."""
    match name:
        case "json":
            return JsonEncoder()
        case "csv":
            return CsvEncoder()
        case "parquet":
            return ParquetEncoder()
    raise ValueError(f'rows cannot be written as "{name}"; the formats for files are json, csv, parquet')
