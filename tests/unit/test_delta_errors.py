"""What Delta's client says of the disk and of HDFS below a table: whether it is waited for, and what is to be done."""

import errno
import os

import pytest
from deltalake.exceptions import DeltaError, TableNotFoundError

from streamjob_runtime.connectors.delta.errors import says_there_is_none, translate
from streamjob_runtime.connectors.delta.place import Place
from streamjob_runtime.errors import JobError, Unavailable


@pytest.mark.parametrize("kind", [DeltaError, OSError, TableNotFoundError])
@pytest.mark.parametrize(
    ("code", "error", "remedy"),
    [
        (errno.ENOSPC, Unavailable, "; make room there"),
        (errno.EDQUOT, Unavailable, "; make room there"),
        (errno.EIO, Unavailable, "cannot be reached now"),
        (errno.ESTALE, Unavailable, "cannot be reached now"),
        (errno.EACCES, JobError, "give this user permission"),
        (errno.EROFS, JobError, "not read-only"),
        (errno.ENOTDIR, JobError, "a file stands where a folder is needed"),
    ],
)
def test_the_systems_errors_are_what_they_are_elsewhere(
    kind: type[Exception], code: int, error: type[Exception], remedy: str
) -> None:
    said = f"Generic LocalFileSystem error: Unable to copy data to file: {os.strerror(code)} (os error {code})"
    words = f"The Delta table at /some/place .*os error {code}"
    with pytest.raises(error, match=words) as raised, translate(Place("/some/place")):
        raise kind(f"Failed to parse parquet: External: {said}")
    assert remedy in str(raised.value)
    assert not says_there_is_none(TableNotFoundError(said))


def test_a_folder_without_a_table_has_none() -> None:
    assert says_there_is_none(TableNotFoundError("No such file or directory (os error 2)"))
    assert says_there_is_none(TableNotFoundError("no log files"))


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException The DiskSpace quota", JobError, "raise the quota"),
        ("org.apache.hadoop.security.AccessControlException Permission denied", JobError, r"hdfs dfs -chown USER PATH"),
        ("org.apache.hadoop.ipc.StandbyException Operation READ is not supported", Unavailable, "cannot be reached"),
    ],
)
def test_answers_of_hdfs_are_what_they_are_elsewhere(said: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words), translate(Place("hdfs://nn:8020/table")):
        raise DeltaError(f"External: Generic HdfsObjectStore error: RPC error: {said}\n\tat org.apache.hadoop.Foo")


class PanicException(BaseException):
    """As the client's own, which is no Exception either."""


@pytest.mark.parametrize(
    "raised",
    [
        PanicException("called `Option::unwrap()` on a `None` value"),
        DeltaError('Generic DeltaTable error: writer join error: task 81 panicked with message "overflowed"'),
    ],
)
def test_what_the_client_did_not_expect_ends_the_job_with_words(raised: BaseException) -> None:
    words = r"cannot be used \(.*\): its client did not expect such a value"
    with pytest.raises(JobError, match=words), translate(Place("/some/place")):
        raise raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3)])
def test_what_is_none_of_the_clients_errors_goes_on(raised: BaseException) -> None:
    with pytest.raises(type(raised)), translate(Place("/some/place")):
        raise raised
