"""Files in a folder or in an object store: read as they appear, read as a static table, written."""

from collections.abc import Iterator

from pydantic import Field

from streamjob_api import trees
from streamjob_api.base import Bool, Int, Part
from streamjob_api.cel import CelRule, has_variable
from streamjob_api.systems.kinds import FORMATS, Alone, SinkKind, SourceKind, TableKind, path_of
from streamjob_api.systems.named_columns import each_once, each_once_cel
from streamjob_api.texts import ColumnName, Location
from streamjob_api.trees import Broken, Tree


class FilesSource(Part):
    """Files that appear in a folder or below an S3 prefix, each read once, by modification time and name."""

    path: Location = Field(
        description="The folder, or `s3://bucket/prefix`. The last part may be a pattern, such as `logs/*.json`."
    )
    max_files_per_batch: Int = Field(1000, ge=1, le=100_000, description="How many files a batch reads at most.")
    header: Bool | None = Field(
        None, description="Whether the first line of each CSV file names its columns. Left out: true."
    )
    follow: Bool = Field(
        False,
        description="Read the lines that are appended to growing and rotated files of a local folder, as `tail -F` "
        "does, in place of whole files. A line is read when it ends with a newline.",
    )
    follow_links: Bool = Field(
        False,
        description="Read what symbolic links lead to, also out of the path. Otherwise a link that leads out is an "
        "error; one that stays within is followed, and so is a path that is a link itself.",
    )


class TableFiles(Part):
    """The files that hold a static table."""

    path: Location = Field(
        description="A file, a folder, or the same in S3. The last part may be a pattern, such as `ads/*.parquet`."
    )
    header: Bool | None = Field(
        None, description="Whether the first line of each CSV file names its columns. Left out: true."
    )
    follow_links: Bool = Field(
        False,
        description="Read what symbolic links lead to, also out of the path. Otherwise a link that leads out is an "
        "error; one that stays within is followed, and so is a path that is a link itself.",
    )


class FilesSink(Part):
    """Writes files that any reader's plain glob sees once each."""

    path: Location = Field(description="The folder, or `s3://bucket/prefix`.")
    partition_by: tuple[ColumnName, ...] = Field(
        (), max_length=16, description="Columns that become folders, `column=value/`."
    )


def _header(item: Tree) -> Iterator[Broken]:
    given = item.get("format")
    if isinstance(trees.mapping(item.get("files")).get("header"), bool) and given in FORMATS and given != "csv":
        yield Broken(("files", "header"), f"{given} files have no header", "leave it out: it is for csv")


_HEADER = CelRule(
    "!has(self.files) || !has(self.files.header) || !has(self.format) || self.format == 'csv'",
    "only csv files have a header; leave it out",
    says="self.format + ' files have no header; leave it out: it is for csv'",
    field="files.header",
)


def _source(item: Tree) -> Iterator[Broken]:
    yield from _header(item)
    files = trees.mapping(item.get("files"))
    if files.get("follow") is not True:
        return
    path = files.get("path")
    if isinstance(path, str) and "://" in path and not path.startswith("file://"):
        yield Broken(
            ("files", "follow"), "only local files grow line by line", "leave it out: an object is read as a whole"
        )
    if item.get("format") == "parquet":
        yield Broken(("files", "follow"), "parquet files have no lines", "leave it out")
    if item.get("format") == "csv" and files.get("header") is not False:
        yield Broken(
            ("files", "header"), "a followed file has no header line", "write header: false, and the order in columns"
        )


_FOLLOW = (
    CelRule(
        "!has(self.files) || !has(self.files.follow) || !self.files.follow || !self.files.path.contains('://') || "
        f"self.files.path.startsWith('file://') || {has_variable('self.files.path')}",
        "only local files grow line by line; leave it out: an object is read as a whole",
        field="files.follow",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.follow) || !self.files.follow || !has(self.format) || "
        "self.format != 'parquet'",
        "parquet files have no lines; leave it out",
        field="files.follow",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.follow) || !self.files.follow || !has(self.format) || "
        "self.format != 'csv' || (has(self.files.header) && !self.files.header)",
        "a followed file has no header line; write header: false, and the order in columns",
        field="files.header",
    ),
)


def _sink(item: Tree) -> Iterator[Broken]:
    if item.get("mode") == "update":
        yield Broken(
            ("mode",),
            "a files sink cannot update rows in files that are written",
            "take append (new and final rows) or complete (one file, replaced by each batch)",
        )
    yield from each_once(item, "files", "partitionBy")
    columns = trees.items(trees.mapping(item.get("files")).get("partitionBy"))
    if item.get("mode") == "complete" and any(isinstance(column, str) for column in columns):
        yield Broken(
            ("files", "partitionBy"), "complete mode writes one file", "leave partitionBy out, or take mode append"
        )


_SINK = (
    CelRule(
        "!has(self.files) || self.mode != 'update'",
        "a files sink cannot update rows in files that are written; "
        "take append (new and final rows) or complete (one file, replaced by each batch)",
        field="mode",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.partitionBy) || self.files.partitionBy.size() == 0 || "
        "self.mode != 'complete'",
        "complete mode writes one file; leave partitionBy out, or take mode append",
        field="files.partitionBy",
    ),
)


_ALONE = Alone(
    field="path",
    place=path_of,
    message="writes there already",
    hint="give each sink a folder of its own",
    cel=CelRule(
        "self.sinks.all(sink, !has(sink.files) || self.sinks.exists_one(other, "
        "has(other.files) && other.files.path.find('^.*[^/]') == sink.files.path.find('^.*[^/]')))",
        "two sinks write to the same folder; give each sink a folder of its own",
        field="sinks",
    ),
)

SOURCE = SourceKind(
    model=FilesSource,
    formats=("text", "json", "csv", "parquet", "raw"),
    header=True,
    rules=_source,
    cel={"": (_HEADER, *_FOLLOW)},
)
TABLE = TableKind(
    model=TableFiles, formats=("json", "csv", "parquet"), header=True, rules=_header, cel={"": (_HEADER,)}
)
SINK = SinkKind(
    model=FilesSink,
    columns=("partitionBy",),
    written="{format} files",
    formats=("json", "csv", "parquet"),
    alone=_ALONE,
    rules=_sink,
    cel={"": _SINK, "files": (each_once_cel("partitionBy"),)},
)
