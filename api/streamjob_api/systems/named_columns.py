"""Rules that several systems have about the columns that their fields name."""

from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.cel import CelRule
from streamjob_api.trees import MAX_COLUMNS, Broken, Tree
from streamjob_api.words import Path, shown


def each_once(item: Tree, *path: str) -> Iterator[Broken]:
    """The list at the path of the item names no column twice. Case does not count, as in SQL."""
    *above, last = path
    for name in above:
        item = trees.mapping(item.get(name))
    seen: set[str] = set()
    for i, column in enumerate(trees.items(item.get(last), MAX_COLUMNS)):
        if isinstance(column, str):
            if column.lower() in seen:
                yield stands_twice((*path, i), column)
            seen.add(column.lower())


def each_once_cel(field: str) -> CelRule:
    """The same for the API server. `field`: the list, from the place of the rule."""
    return CelRule(
        f"!has(self.{field}) || self.{field}.all(column, "
        f"self.{field}.exists_one(other, other.lowerAscii() == column.lowerAscii()))",
        "names a column twice; name each column once",
        field=field,
    )


def stands_twice(path: Path, column: str) -> Broken:
    """What is said of the second place of a column."""
    return Broken(path, f'"{shown(column)}" stands twice', "name each column once")


def key_of_mode(item: Tree, kind: str) -> Iterator[Broken]:
    """A sink that replaces rows in mode `update` needs the key of them, and in the others has none."""
    given = trees.mapping(item.get(kind)).get("key") is not None
    if item.get("mode") == "update" and not given:
        yield Broken(
            (kind, "key"),
            "mode update needs the columns that tell which row is to be replaced",
            "write key: [id], with the columns that the rows are grouped by",
        )
    if item.get("mode") != "update" and given:
        yield Broken((kind, "key"), "is for mode update", "leave it out, or take mode update")


def key_of_mode_cel(kind: str) -> tuple[CelRule, ...]:
    """The same for the API server."""
    return (
        CelRule(
            f"!has(self.{kind}) || self.mode != 'update' || has(self.{kind}.key)",
            "mode update needs the columns that tell which row is to be replaced; "
            "write key: [id], with the columns that the rows are grouped by",
            field=f"{kind}.key",
        ),
        CelRule(
            f"!has(self.{kind}) || self.mode == 'update' || !has(self.{kind}.key)",
            "is for mode update; leave it out, or take mode update",
            field=f"{kind}.key",
        ),
    )
