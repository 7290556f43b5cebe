"""Symbolic links among the files of a local path: which of them are followed.

A mounted ConfigMap or Secret is made of links, all of which stay within its folder. One that leads out may have been
put there by whoever may write to the folder and wants to see what the job may read.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from streamjob_runtime.connectors.files.paths import is_pattern, local_folder, matches_glob
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.table import TableContext
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.local import LocalStore


@dataclass(frozen=True, slots=True)
class LinkRule:
    """What the manifest says of links. `root` and `pattern`: of `split_glob`; the path itself may be a link."""

    whose: str
    root: Path
    pattern: str | None
    follow: bool = False  # also those that lead out

    def check(self, key: str) -> None:
        """Raise `JobError` if the file is reached by a link that leads out of the path."""
        if not self.follow and key != self.pattern and matches_glob(self.pattern, key):
            self._look(key)

    def enters(self, key: str) -> bool:
        """Whether the folder is walked, which is a link: what one within the path leads to is read where it lies.

        Raises `JobError` for one that leads out.
        """
        if (self.pattern is not None and is_pattern(self.pattern)) or not matches_glob(self.pattern, f"{key}/file"):
            return False
        if key == self.pattern:
            return True
        if self.follow:
            return self._outside(key) is not None
        self._look(key)
        return False

    def _look(self, key: str) -> None:
        outside = self._outside(key)
        if outside is not None:
            raise JobError(
                f"{self.whose}: {self.root.absolute() / key} leads by a symbolic link to {outside}, outside of "
                f"{self._top.absolute()}. Take it away, or write followLinks: true beside path if what links lead to "
                "is to be read."
            )

    def _outside(self, key: str) -> str | None:
        """Where the key leads to, if that is not within the path."""
        top, real = os.path.realpath(self._top), os.path.realpath(self.root / key)
        return None if os.path.commonpath([top, real]) == top else real

    @property
    def _top(self) -> Path:
        return self.root if self.pattern is None or is_pattern(self.pattern) else self.root / self.pattern


def open_files(
    root: str, pattern: str | None, follow: bool, whose: str, named: str, context: SourceContext | TableContext
) -> Store:
    """The store with the files of a path, with its retries. `named`: who reads them, as a sentence begins."""
    if "://" in root and not root.startswith("file://"):
        return context.open_store(root, whose)
    folder = local_folder(root)
    return context.wrap_store(LocalStore(folder, LinkRule(named, folder, pattern, follow)), whose)
