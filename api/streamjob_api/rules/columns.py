"""The rules of the columns of a source or a table: `schema`, and `columns`, the order in a line of CSV."""

from collections.abc import Iterator, Mapping

from streamjob_api import trees
from streamjob_api.cel import CelRule, CelRules
from streamjob_api.systems.kinds import FORMATS, SourceKind, TableKind
from streamjob_api.systems.named_columns import each_once
from streamjob_api.trees import MAX_COLUMNS, Broken, Tree
from streamjob_api.words import shown, suggest

BATCH_TIME = "batch_time"

_Kinds = Mapping[str, SourceKind] | Mapping[str, TableKind]


def names(tree: Tree) -> Iterator[Broken]:
    """Names of columns are names in SQL, and one is taken."""
    seen: dict[str, str] = {}
    for column in trees.mapping(tree.get("schema")):
        if not isinstance(column, str):
            continue
        if column.lower() == BATCH_TIME:
            yield Broken(
                ("schema", column), f"{BATCH_TIME} is a column that every source has", "give this one another name"
            )
        if column.lower() in seen:
            yield Broken(
                ("schema", column),
                f'"{shown(column)}" and "{shown(seen[column.lower()])}" are one name in SQL, which ignores case',
                "rename one of them",
            )
        seen[column.lower()] = column


def order(tree: Tree, name: str | None, kind: SourceKind | TableKind | None) -> Iterator[Broken]:
    """A line of CSV without a header has its order from `columns`: an object, as the schema is one, has none.

    `name`, `kind`: of the source or table; None: that is not known, as a rule says already.
    """
    schema, given = trees.mapping(tree.get("schema")), tree.get("columns")
    if name is not None and kind is not None:
        header = kind.header and trees.mapping(tree.get(name)).get("header") is not False
        if tree.get("format") == "csv" and kind.formats and not header:
            if given is None and schema:
                fields = ", ".join(shown(str(column)) for column in schema)
                yield Broken(
                    ("columns",),
                    "csv without a header line needs the order of its fields",
                    f"write columns: [{fields}]",
                )
        elif given is not None:
            header_out = f", or write {name}.header: false" if kind.header and tree.get("format") == "csv" else ""
            yield Broken(("columns",), "is for csv without a header line", f"leave it out{header_out}")
            return
    seen: set[str] = set()
    for i, column in enumerate(trees.items(given, MAX_COLUMNS)):
        if not isinstance(column, str):
            continue
        if column in seen:
            yield Broken(("columns", i), f'"{shown(column)}" stands twice', "name each column once")
        elif schema and column not in schema:
            known = suggest(column, (n for n in schema if isinstance(n, str)), "its columns are")
            yield Broken(("columns", i), f'there is no column "{shown(column)}" in the schema', known)
        seen.add(column)
    left = [str(column) for column in schema if column not in seen]
    if seen and left:
        message = f'"{shown(left[0])}" of the schema is missing'
        yield Broken(("columns",), message, "name every column once, in the order of a line's fields")


def escape(tree: Tree) -> Iterator[Broken]:
    """Only CSV has quotes."""
    given = tree.get("format")
    if tree.get("escape") is not None and given in FORMATS and given != "csv":
        yield Broken(("escape",), f"{given} has no quotes to escape", "leave it out: it is for csv")


def required(tree: Tree) -> Iterator[Broken]:
    """The required columns are some of the schema."""
    schema = trees.mapping(tree.get("schema"))
    for i, column in enumerate(trees.items(tree.get("required"), MAX_COLUMNS)):
        if isinstance(column, str) and column not in schema:
            known = suggest(column, (n for n in schema if isinstance(n, str)), "its columns are")
            hint = known if schema else "declare its columns in schema, or leave it out"
            yield Broken(("required", i), f'there is no column "{shown(column)}" in the schema', hint)
    yield from each_once(tree, "required")


def columns_cel(kinds: _Kinds) -> CelRules:
    """The same for the API server, about an item of one of the kinds."""
    bare = _bare_csv(kinds)
    return {
        "": (
            CelRule(
                f"!({bare}) || has(self.columns)",
                "csv without a header line needs the order of its fields; write columns: [id, name]",
                field="columns",
            ),
            CelRule(
                f"!has(self.columns) || ({bare})",
                "is for csv without a header line; leave it out",
                field="columns",
            ),
            CelRule(
                "!has(self.columns) || !has(self.schema) || self.columns.all(name, name in self.schema)",
                "names a column that is not in the schema",
                field="columns",
            ),
            CelRule(
                "!has(self.required) || self.required.size() == 0 || "
                "(has(self.schema) && self.required.all(name, name in self.schema))",
                "names a column that is not in the schema",
                field="required",
            ),
            CelRule(
                "!has(self.escape) || !has(self.format) || self.format == 'csv'",
                "only csv has quotes to escape; leave it out",
                says="self.format + ' has no quotes to escape; leave it out: it is for csv'",
                field="escape",
            ),
            # That none stands twice is over the budget: what has as many names as the schema may still lack one.
            CelRule(
                "!has(self.columns) || !has(self.schema) || self.columns.size() == self.schema.size()",
                "name every column of the schema once, in the order of a line's fields",
                field="columns",
            ),
        ),
        "schema": (
            CelRule(
                "!self.exists(name, name.lowerAscii() == 'batch_time')",
                "batch_time is a column that every source has; give this one another name",
            ),
            # To compare each with each is over the budget: this finds ID beside id, but not Id beside iD.
            CelRule(
                "!self.exists(name, name != name.lowerAscii() && name.lowerAscii() in self)",
                "two names differ only in case, which SQL ignores; rename one of them",
            ),
            CelRule(
                r"self.all(name, name.matches('^[^\\x00-\\x1f\\x7f]{1,128}$'))",
                "the names of columns have 1 to 128 characters, and no control characters",
            ),
        ),
    }


def _bare_csv(kinds: _Kinds) -> str:
    given = []
    for name, kind in kinds.items():
        if "csv" in kind.formats:
            bare = f"(has(self.{name}) && has(self.{name}.header) && !self.{name}.header)"
            given.append(bare if kind.header else f"has(self.{name})")
    return f"has(self.format) && self.format == 'csv' && ({' || '.join(given)})"
