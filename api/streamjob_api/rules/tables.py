"""The rules of one static table that need more than one of its fields."""

from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.bad_records import bad_records, bad_records_cel
from streamjob_api.cel import CelRule, exactly_one, placed
from streamjob_api.rules import columns, kinds
from streamjob_api.systems.registry import TABLES
from streamjob_api.trees import Broken, Tree

_WITHOUT_FORMAT = [name for name, kind in TABLES.items() if not kind.formats]


def table(tree: Tree) -> Iterator[Broken]:
    """The rules of one static table."""
    yield from kinds.exactly_one(tree, TABLES, "table")
    name = trees.kind(tree, TABLES)
    kind = TABLES[name] if name is not None else None
    if kind is not None and not kind.formats:
        for field in ("format", "schema", "columns", "escape", "required"):
            if tree.get(field):
                yield Broken((field,), f"a {name} table has its own {field}", "leave it out")
    else:
        if kind is not None and tree.get("format") is None:
            yield Broken(("format",), f"{name} need a format", f"take one of {', '.join(kind.formats)}")
        if tree.get("format") in ("json", "csv") and tree.get("schema") is None:
            hint = "list the columns: {id: BIGINT, name: VARCHAR}"
            yield Broken(("schema",), f"{tree['format']} needs a schema", hint)
        yield from columns.names(tree)
        yield from columns.order(tree, name, kind)
        yield from columns.escape(tree)
        yield from columns.required(tree)
    yield from bad_records(tree, _WITHOUT_FORMAT)
    yield from kinds.of_kinds(tree, TABLES)


_TABLE = (
    exactly_one(TABLES, "table"),
    CelRule(
        "has(self.delta) != has(self.format)",
        "files need a format, one of json, csv, parquet, and a delta table has its own",
        field="format",
    ),
    CelRule(
        "!has(self.delta) || !has(self.schema)",
        "a delta table has its own schema; leave it out",
        field="schema",
    ),
    CelRule(
        "!has(self.format) || self.format == 'parquet' || has(self.schema)",
        "json and csv need a schema; list the columns: {id: BIGINT, name: VARCHAR}",
        field="schema",
    ),
)

TABLE_CEL = placed(
    ("", {"": (*_TABLE, *bad_records_cel(_WITHOUT_FORMAT)[:2])}),
    ("", columns.columns_cel(TABLES)),
    ("", kinds.of_kinds_cel(TABLES)),
)
