"""Finding the files that were not read yet."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate, islice, takewhile

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.files.paths import list_files
from streamjob_runtime.connectors.files.seen import SeenFiles
from streamjob_runtime.errors import NotFound
from streamjob_runtime.stores.base import Entry, Store

# A folder of 100,000 files takes about a second to list. It is listed when all that was found is read, and then for at
# most a fifth of the time.
_REST = 4

# What a batch reads must fit in memory, also the first batch over a folder of years.
MAX_BYTES = 512 << 20


class NewFiles:
    """Files in the order of reading, by modification time and key: those that settled, and those that may grow."""

    def __init__(self, store: Store, pattern: str | None, clock: Clock, settle_ms: int, seen: SeenFiles) -> None:
        self.seen = seen
        self._store = store
        self._pattern = pattern
        self._clock = clock
        self._settle_ms = settle_ms
        self._ready: dict[str, Entry] = {}  # in the order of reading
        self._waiting: dict[str, tuple[Entry, int]] = {}  # with the time at which it was first seen so
        self._begun: str | None = None  # the key of a file that is read in parts
        self._limited = False
        self._next_listing = float("-inf")  # on the monotonic clock
        self._listing_before_s = 0.0  # how long it took
        self._passed_over = 0
        self._changed: list[str] = []  # keys of files that were read and are not what they were

    def limit_to_available(self) -> None:
        """List now, and never again."""
        self._limited = True
        self._sort(self._unseen(), self._clock.now_ms())

    @property
    def exhausted(self) -> bool:
        """Whether all that `limit_to_available` listed is done."""
        return self._limited and not self._ready and not self._waiting

    @property
    def known(self) -> int:
        """How many files are ready or waited for."""
        return len(self._ready) + len(self._waiting)

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest file that is ready or waited for."""
        ready = [e.modified_ms for e in islice(self._ready.values(), 1)]  # in order: the first is the oldest
        return min(ready + [e.modified_ms for e, _ in self._waiting.values()], default=None)

    def count(self) -> tuple[int, int | None]:
        """How many files were not read to their end, and the time of the oldest: for another thread than the rest."""
        times = [e.modified_ms for e in list_files(self._store, self._pattern) if e.key not in self.seen]
        unread = [ms for ms in times if not self.seen.too_old(ms)]
        return len(unread), min(unread, default=None)

    @property
    def message(self) -> str:
        """What a user should know."""
        notes = []
        if self._waiting:
            notes.append(f"files that may still be written, and are waited for: {len(self._waiting)}")
        if self._changed:
            more = f" and {len(self._changed) - 1} more" if len(self._changed) > 1 else ""
            notes.append(
                f"changed since it was read, and not read again: {self._changed[0]}{more}. Write new files, or follow "
                "those that grow (follow: true)"
            )
        if self._passed_over:
            notes.append(f"files passed over, seven days older than the newest: {self._passed_over}")
        return "; ".join(notes)

    @property
    def has_changed(self) -> bool:
        """Whether a file that was read is not what it was."""
        return bool(self._changed)

    def find(self, now_ms: int) -> None:
        """Look for files, unless there are some to read."""
        if self._ready or self._begun is not None:
            return
        if self._limited:
            self._sort(self._fresh(), now_ms)
        elif self._clock.monotonic() >= self._next_listing:
            began = self._clock.monotonic()
            self._sort(self._unseen(), now_ms)
            ended = self._clock.monotonic()
            # Of two listings the longer one may have waited for a store that was away: that is no reason to rest.
            self._next_listing = ended + _REST * min(ended - began, self._listing_before_s)
            self._listing_before_s = ended - began

    def first(self, count: int) -> list[Entry]:
        """The files to read next: at most `count`, and of `MAX_BYTES` together unless it is one."""
        sizes = accumulate(file.size for file in self._ready.values())
        fitting = sum(1 for _ in takewhile(lambda size: size <= MAX_BYTES, islice(sizes, max(0, count))))
        return list(islice(self._ready.values(), min(count, max(1, fitting))))

    def put_back(self, file: Entry, now_ms: int) -> None:
        """The file is not what it was when it was listed: look at it again later."""
        self._ready.pop(file.key, None)
        self._waiting[file.key] = (file, now_ms)

    def begun(self, file: Entry) -> None:
        """A range names the first rows of the file."""
        self._ready.pop(file.key, None)
        self._waiting.pop(file.key, None)
        self._begun = file.key

    def done(self, file: Entry) -> None:
        """A range names the last rows of the file."""
        self._ready.pop(file.key, None)
        self._waiting.pop(file.key, None)
        self._begun = None
        self.seen.add(file.key, file.modified_ms, self._clock.now_ms())

    def _unseen(self) -> list[Entry]:
        """A listing without what was read, and without what is too old to know."""
        self.seen.forget()
        there = list(list_files(self._store, self._pattern))
        self._changed = [e.key for e in there if self.seen.differs(e.key, e.modified_ms)]
        unseen = [e for e in there if e.key not in self.seen and e.key != self._begun]
        new = [e for e in unseen if not self.seen.too_old(e.modified_ms)]
        # Of the old files some were read and forgotten; where those have been deleted, the number is too low.
        self._passed_over = max(0, len(unseen) - len(new) - self.seen.forgotten)
        return new

    def _fresh(self) -> Iterable[Entry]:
        """The files that are waited for, as they are now."""
        for key in self._waiting:
            with suppress(NotFound):
                yield self._store.stat(key)

    def _sort(self, entries: Iterable[Entry], now_ms: int) -> None:
        """Tell those that were left alone for long enough, by their time or by two looks, from the others."""
        ready, waiting = list(self._ready.values()), {}
        for entry in entries:
            before, since = self._waiting.get(entry.key, (entry, now_ms))
            if before != entry:
                since = now_ms
            if min(entry.modified_ms, since) + self._settle_ms <= now_ms:
                ready.append(entry)
            else:
                waiting[entry.key] = (entry, since)
        self._ready = {e.key: e for e in sorted(ready, key=lambda e: (e.modified_ms, e.key))}
        self._waiting = waiting
