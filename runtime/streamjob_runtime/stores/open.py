"""From a location to its store, by the location's scheme."""

import re
from importlib.metadata import entry_points
from typing import Protocol, cast

from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.keys import check_replaced

GROUP = "streamjob.stores"  # the entry points' names are the schemes


class _StoreClass(Protocol):
    def from_url(self, url: str, connections: Connections) -> Store: ...


def open_store(url: str, connections: Connections) -> Store:
    """The store at a path, `file://…`, `s3://bucket/prefix`, or a scheme that another package brings.

    A package adds a scheme by an entry point of the group `streamjob.stores`: a class with a class method
    `from_url(url, connections)`. Raises `JobError` when nobody knows the scheme or the credentials are missing; the
    system itself is not asked yet.
    """
    check_replaced(url)
    found = re.match(r"([a-z][a-z0-9+.-]*)://", url)
    scheme = found[1] if found else "file"
    known = entry_points(group=GROUP)
    if scheme not in known.names:
        raise JobError(f"{url}: no store has the scheme {scheme!r}. There are: {', '.join(sorted(known.names))}.")
    (entry, *_) = known.select(name=scheme)
    try:
        kind = cast(_StoreClass, entry.load())
    except ModuleNotFoundError as err:
        raise JobError(
            f"{url}: a store of the scheme {scheme!r} needs the package {err.name}, which is not installed: "
            f'pip install "streamjob[{scheme}]".'
        ) from err
    return kind.from_url(url, connections)
