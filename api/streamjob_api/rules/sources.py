"""The rules of one source that need more than one of its fields.

Like all rules they look at plain trees, so that a wrong field elsewhere hides none of them.
"""

from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.bad_records import bad_records, bad_records_cel
from streamjob_api.cel import CelRule, CelRules, exactly_one, has_any, placed, values
from streamjob_api.rules import columns, kinds
from streamjob_api.systems.kinds import FORMATS, SourceKind
from streamjob_api.systems.named_columns import stands_twice
from streamjob_api.systems.registry import SOURCES
from streamjob_api.trees import Broken, Tree
from streamjob_api.words import Path, shown, suggest

_OF_FORMATS = {"text": {"value": "VARCHAR"}, "raw": {"value": "BLOB"}}  # the columns of those that have their own
_NEED_SCHEMA = ("json", "csv", "avro", "parquet")

_TAKE_A_TIME = (
    "take a column of type TIMESTAMP or TIMESTAMP WITH TIME ZONE, or a new name and an expression, such as "
    "epoch_ms(sent)"
)

_WITHOUT_FORMAT = [name for name, kind in SOURCES.items() if not kind.formats]
_WITH_COLUMNS = [name for name, kind in SOURCES.items() if kind.columns]
_WITH_METADATA = {name: kind for name, kind in SOURCES.items() if kind.metadata}


def source(tree: Tree) -> Iterator[Broken]:
    """The rules of one source."""
    yield from kinds.exactly_one(tree, SOURCES, "source")
    name = trees.kind(tree, SOURCES)
    kind = SOURCES[name] if name is not None else None
    if name is not None and kind is not None:
        yield from _format(tree, name, kind)
    yield from _schema(tree, name)
    yield from columns.names(tree)
    yield from columns.order(tree, name, kind)
    yield from columns.escape(tree)
    yield from columns.required(tree)
    yield from bad_records(tree, _WITHOUT_FORMAT)
    yield from _watermark(tree, kind)
    yield from kinds.of_kinds(tree, SOURCES)
    for added in _WITH_METADATA:
        yield from _metadata(tree, added)


def _format(tree: Tree, name: str, kind: SourceKind) -> Iterator[Broken]:
    given, allowed = tree.get("format"), kind.formats
    if not allowed:
        if given is not None:
            yield Broken(("format",), f"a {name} source has no format", "leave it out")
    elif given is None:
        yield Broken(("format",), f"a {name} source needs a format", f"take one of {', '.join(allowed)}")
    elif given in FORMATS and given not in allowed:
        yield Broken(("format",), f"{given} cannot be read from {name}", f"take one of {', '.join(allowed)}")


_FORMAT = (
    *(
        CelRule(
            f"!has(self.{name}) || (has(self.format) && self.format in {values(kind.formats)})",
            f"a {name} source needs a format; take one of {', '.join(kind.formats)}",
            field="format",
        )
        for name, kind in SOURCES.items()
        if kind.formats
    ),
    CelRule(
        f"!({has_any(_WITHOUT_FORMAT)}) || !has(self.format)",
        f"a {' or '.join(_WITHOUT_FORMAT)} source has no format; leave it out",
        field="format",
    ),
)


def _schema(tree: Tree, name: str | None) -> Iterator[Broken]:
    given = tree.get("schema") is not None
    if name in _WITHOUT_FORMAT:
        what, own = f"a {name} source", SOURCES[name].columns
        needs = not own
    else:
        what = trees.text(tree.get("format"))
        own, needs = _OF_FORMATS.get(what, {}), what in _NEED_SCHEMA
    if needs and not given:
        yield Broken(("schema",), f"{what} needs a schema", "list the columns: {id: BIGINT, name: VARCHAR}")
    if own and given:
        listed = " and ".join(f"{column} {kind}" for column, kind in own.items())
        yield Broken(("schema",), f"{what} has a schema of its own: {listed}", "leave it out")


def _schema_cel() -> tuple[CelRule, ...]:
    needing = [name for name in _WITHOUT_FORMAT if name not in _WITH_COLUMNS]
    return (
        CelRule(
            f"!({has_any(needing)} || (has(self.format) && self.format in {values(_NEED_SCHEMA)})) || has(self.schema)",
            f"{', '.join(_NEED_SCHEMA)} and {' and '.join(needing)} need a schema; "
            "list the columns: {id: BIGINT, name: VARCHAR}",
            field="schema",
        ),
        CelRule(
            f"!({has_any(_WITH_COLUMNS)} || (has(self.format) && self.format in {values(_OF_FORMATS)})) || "
            "!has(self.schema)",
            f"{', '.join(_OF_FORMATS)} and {' and '.join(_WITH_COLUMNS)} have a schema of their own; leave it out",
            field="schema",
        ),
    )


def _watermark(tree: Tree, kind: SourceKind | None) -> Iterator[Broken]:
    mark = trees.mapping(tree.get("watermark"))
    column = mark.get("column")
    known = _columns(tree, kind)
    if not isinstance(column, str) or known is None:
        return
    found = next((name for name in known if name.lower() == column.lower()), None)
    path: Path = ("watermark", "column")
    if mark.get("expression") is not None:
        if found is not None or column.lower() == columns.BATCH_TIME:
            yield Broken(path, f'there is a column "{shown(column)}" already', "the expression needs a name of its own")
    elif found is None:
        yield Broken(path, f'there is no column "{shown(column)}"', suggest(column, known, "the columns are"))
    elif isinstance(known[found], str) and not known[found].upper().startswith(("TIMESTAMP", "DATETIME")):
        yield Broken(path, f'"{shown(column)}" is of type {shown(known[found])}', _TAKE_A_TIME)


def _columns(tree: Tree, kind: SourceKind | None) -> Tree | None:
    """The columns, each with its type; None: that is not known."""
    own = (kind.columns if kind else {}) or _OF_FORMATS.get(trees.text(tree.get("format")), {})
    schema = {k: v for k, v in trees.mapping(tree.get("schema")).items() if isinstance(k, str)}
    added = {name: types[name] for below, types in _metadata_types() for name in _added(tree, below) if name in types}
    return {**(own or schema), **added} if own or schema else None


def _watermark_cel() -> tuple[CelRule, ...]:
    of_metadata = " || ".join(
        f"(has(self.{name}) && has(self.{name}.metadata) && '{column}' in self.{name}.metadata && "
        f"self.watermark.column.lowerAscii() == '{column}')"
        for name, types in _metadata_types()
        for column, type_ in types.items()
        if type_ == "TIMESTAMP"
    )
    return (
        CelRule(
            "!has(self.watermark) || has(self.watermark.expression) || !has(self.format) || "
            f"!(self.format in {values(_OF_FORMATS)}) || {of_metadata}",
            f"{' and '.join(_OF_FORMATS)} have no column of type TIMESTAMP",
            field="watermark.column",
        ),
        CelRule(
            "!has(self.watermark) || has(self.watermark.expression) || !has(self.schema) || "
            f"self.schema.exists(name, name.lowerAscii() == self.watermark.column.lowerAscii()) || {of_metadata}",
            "there is no such column in the schema",
            says="'there is no column \"' + self.watermark.column + '\" in the schema'",
            field="watermark.column",
        ),
        CelRule(
            "!has(self.watermark) || !has(self.watermark.expression) || !has(self.schema) || "
            "!(self.watermark.column in self.schema)",
            "there is such a column in the schema already; the expression needs a name of its own",
            field="watermark.column",
        ),
        # Where the column is written in another case than in the schema, this is over the budget.
        CelRule(
            "!has(self.watermark) || has(self.watermark.expression) || !has(self.schema) || "
            "!(self.watermark.column in self.schema) || "
            "self.schema[self.watermark.column].matches('^(?i:TIMESTAMP|DATETIME)')",
            f"is of another type; {_TAKE_A_TIME}",
            says="'\"' + self.watermark.column + '\" is of type ' + self.schema[self.watermark.column] + "
            f"'; {_TAKE_A_TIME}'",
            field="watermark.column",
        ),
    )


def _metadata(tree: Tree, kind: str) -> Iterator[Broken]:
    """The columns that a source adds to those of the value, by its field `metadata`."""
    names = _added(tree, kind)
    for i, name in enumerate(names):
        if name in names[:i]:
            yield stands_twice((kind, "metadata", i), name)
    for column in trees.mapping(tree.get("schema")):
        if isinstance(column, str) and column.lower() in names:
            yield Broken(
                ("schema", column), f"{column.lower()} is a column that {kind}.metadata adds", "rename one in the value"
            )


def _metadata_cel(kind: str) -> CelRules:
    return {
        "": (
            CelRule(
                f"!has(self.{kind}) || !has(self.{kind}.metadata) || !has(self.schema) || "
                f"self.{kind}.metadata.all(name, !(name in self.schema))",
                f"{kind}.metadata adds a column of that name; rename one in the value",
                field="schema",
            ),
        ),
        kind: (
            CelRule(
                "!has(self.metadata) || self.metadata.all(name, self.metadata.exists_one(other, other == name))",
                "names a column twice; name each column once",
                field="metadata",
            ),
        ),
    }


def _added(tree: Tree, kind: str) -> list[str]:
    names = trees.items(trees.mapping(tree.get(kind)).get("metadata"))
    return [name for name in names if isinstance(name, str)]


def _metadata_types() -> Iterator[tuple[str, Tree]]:
    return ((name, kind.metadata) for name, kind in _WITH_METADATA.items())


SOURCE_CEL = placed(
    ("", {"": (exactly_one(SOURCES, "source"), *_FORMAT, *_schema_cel(), *_watermark_cel())}),
    ("", {"": bad_records_cel(_WITHOUT_FORMAT)}),
    ("", columns.columns_cel(SOURCES)),
    ("", kinds.of_kinds_cel(SOURCES)),
    *(("", _metadata_cel(name)) for name in _WITH_METADATA),
)
