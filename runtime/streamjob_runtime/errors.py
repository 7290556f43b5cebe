"""The errors of the runtime, named by what the caller should do.

    StreamJobError
    ├── JobError          the job itself is wrong: a retry is useless (exit code 78)
    │   ├── Damaged       the log or a snapshot is not whole
    │   └── Refused       a system does not take the job's credentials
    ├── Unavailable       trouble outside that a retry may mend (exit code 75)
    ├── Fenced            another process runs this job now: stop at once (exit code 75)
    ├── AlreadyExists     an object of that name is there: somebody was first
    └── NotFound          there is no object of that name

Everything else is a fault of ours (exit code 1). Errors of foreign libraries are translated where they arise: a store
raises no `minio` error, the query package no `duckdb` error.
"""

from streamjob_runtime.excerpts import Excerpt, Words, said


class StreamJobError(Exception):
    """The root of all errors that the runtime raises on purpose. Its text is a full sentence for the user.

    `str` gives all of it, for the log; `words` tell what of it came from a record, and must stay there.
    """

    def __init__(self, *parts: str | Excerpt | Words) -> None:
        self.words = said(*parts)
        super().__init__(self.words.full)


class JobError(StreamJobError):
    """The job itself is wrong: its manifest, its SQL, its credentials or its data. A retry gives the same error."""


class Damaged(JobError):
    """The log or a snapshot is not whole: an object is missing, or its content is not what was written."""


class Refused(JobError):
    """A system does not take the job's credentials. Where it took them before, they may be about to be replaced."""


class Unavailable(StreamJobError):
    """A system outside failed or did not answer. A retry may mend it; whether the call took effect may be unknown."""


class Fenced(StreamJobError):
    """Another process has taken over this job. This one must write nothing more."""


class AlreadyExists(StreamJobError):
    """An object of that name exists already. Not one's own: a create that was tried again is settled by the store."""


class NotFound(StreamJobError):
    """There is no object of that name."""
