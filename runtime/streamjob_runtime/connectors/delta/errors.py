"""What the client library for Delta says went wrong, in the runtime's own errors."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    DeltaProtocolError,
    SchemaMismatchError,
    TableNotFoundError,
)

from streamjob_runtime.connectors.delta.place import Place
from streamjob_runtime.errors import JobError, StreamJobError, Unavailable
from streamjob_runtime.excerpts import Excerpt
from streamjob_runtime.stores.hdfs_errors import remedy_for
from streamjob_runtime.stores.os_errors import from_code
from streamjob_runtime.stores.s3_errors import from_answer

_LONGEST = 400  # characters of the library's words
_ANSWER = re.compile(r"\b(?P<status>[1-5][0-9][0-9]) [A-Z]")
_OF_SYSTEM = re.compile(r"(\(os error |\bOs \{ code: )(?P<code>[0-9]+)\b")
_OF_HADOOP = re.compile(r"\borg\.apache\.hadoop\.[\w.$]*?(?P<kind>\w+Exception)\b")
_ENCRYPTED = "File encryption"  # says the client of a file that it cannot read
_CODE = re.compile(r"<Code>(?P<code>[^<]*)</Code>(?:<Message>(?P<message>[^<]*)</Message>)?")

# Words of errors that somebody else's commit at the same moment causes: a fresh look at the table may mend them.
_OVERTAKEN = (
    "concurrent transaction",
    "metadata changed since last commit",
    "protocol changed since last commit",
    "max commit attempts",
    "maximum number of attempts",
    "exceeded max",
    "already exists",
    "invalid table version",
)
# Words of errors of whatever lies below the table.
_FAILING = ("generic s3 error", "generic hdfs", "error performing", "error sending request", "rpcerror")
_SURPRISED = (
    "its client did not expect such a value, as a date or a time that is infinite or far from today: leave such rows "
    "out in the pipeline, or cast the column to VARCHAR"
)
_WRONG = {
    "panicked": _SURPRISED,
    "validation check": "filter such rows out in the pipeline, or drop the table's constraint",
    "invariant": "filter such rows out in the pipeline, or drop the table's constraint",
    "constraint": "filter such rows out in the pipeline, or drop the table's constraint",
    "append-only": "take mode append, or unset the table's property delta.appendOnly",
    "writer feature": "choose a table without it: Delta's client here does not know it",
    "reader feature": "choose a table without it: Delta's client here does not know it",
    "does not support": "choose a table without it: Delta's client here does not know it",
    "unsupported": "choose a table without it: Delta's client here does not know it",
}


@contextmanager
def translate(place: Place) -> Iterator[None]:
    """Turn what the client raises over a table into `Unavailable` or `JobError`; of a table, not of none."""
    try:
        yield
    except SchemaMismatchError as err:
        raise JobError(
            f"The Delta table at {place.url} does not take the rows (",
            Excerpt(_words(err, place)),
            "): the table was changed; start the job again, and it says what does not fit.",
        ) from None
    except (DeltaError, DeltaProtocolError, OSError) as err:
        raise _translated(err, place) from None  # its own text may name a credential
    except pa.ArrowInvalid as err:
        raise JobError(
            f"The Delta table at {place.url} does not take the rows (",
            Excerpt(_words(err, place)),
            "): mend the data, or cast it in the pipeline.",
        ) from None
    except (ValueError, RuntimeError, NotImplementedError) as err:
        raise JobError(f"The Delta table at {place.url} cannot be used (", Excerpt(_words(err, place)), ").") from None
    except BaseException as err:
        # The client has a bare Exception for some of its own, and no Exception at all for an assumption that failed.
        if type(err) is not Exception and type(err).__name__ != "PanicException":
            raise
        raise _translated(err, place) from None


def says_there_is_none(err: TableNotFoundError) -> bool:
    """Whether there is just no table, and nothing else is wrong."""
    return _from_below(str(err), "", "") is None


def _from_below(whole: str, said: str, place: str) -> StreamJobError | None:
    """The error for what a file system or HDFS has answered; None: no such answer is in the library's words."""
    kind = found["kind"] if (found := _OF_HADOOP.search(whole)) else ""
    if _ENCRYPTED in whole:
        kind = "UnknownCryptoProtocolVersionException"  # which HDFS says where a file is written
    if remedy := remedy_for(kind):
        return JobError(f"{place} cannot be used ({said}): {remedy}.")
    code = int(system["code"]) if (system := _OF_SYSTEM.search(whole)) else errno.ENOENT
    return None if code == errno.ENOENT else from_code(code, said, place)  # what is not there means many things


def _translated(err: BaseException, place: Place) -> StreamJobError:
    whole, said = str(err), _words(err, place)
    low = whole.lower()
    answer, code = _ANSWER.search(whole), _CODE.search(whole)
    if answer and (code or "server returned" in low):
        return _from_s3(int(answer["status"]), code, place)
    if isinstance(err, CommitFailedError | DeltaError) and any(words in low for words in _OVERTAKEN):
        return Unavailable(f"The Delta table at {place.url} was changed by somebody else at the same moment ({said}).")
    if below := _from_below(whole, said, f"The Delta table at {place.url}"):
        return below
    if isinstance(err, TableNotFoundError):
        return Unavailable(f"There is no Delta table at {place.url} any more ({said}).")
    if isinstance(err, OSError) or any(words in low for words in _FAILING):
        return Unavailable(f"The Delta table at {place.url} cannot be reached now ({said}).")
    if not isinstance(err, Exception):
        return JobError(f"The Delta table at {place.url} cannot be used (", Excerpt(said), f"): {_SURPRISED}.")
    remedy = next((f": {remedy}" for words, remedy in _WRONG.items() if words in low), "")
    shown = said if isinstance(err, DeltaProtocolError) else Excerpt(said)
    return JobError(f"The Delta table at {place.url} cannot be used (", shown, f"){remedy}.")


def _from_s3(status: int, code: "re.Match[str] | None", place: Place) -> StreamJobError:
    message = place.scrub(code["message"] or "") if code else ""
    error = from_answer(status, code["code"] if code else "", message, f"The Delta table at {place.url}")
    if isinstance(error, JobError | Unavailable):
        return error
    return Unavailable(f"The Delta table at {place.url} was changed by somebody else at the same moment ({error}).")


def _words(err: BaseException, place: Place) -> str:
    text = re.split(r"\n +[0-9]+: <", place.scrub(str(err)), maxsplit=1)[0]  # below it, a stack
    text = re.sub(r"\x1b\[[0-9;]*m|↳", "", text)
    line = " ".join(text.split())
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…").rstrip(".")
