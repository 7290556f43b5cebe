"""A plain tree, from a file or from the API server, to a StreamJob or to all that is wrong with it."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from streamjob_api.base import FIELDS_ONLY
from streamjob_api.messages import explain, is_echo
from streamjob_api.models import StreamJob
from streamjob_api.rules.job import job as rules_of_job
from streamjob_api.trees import Broken

# Who has more mistakes than these mends them first.
MAX_BROKEN = 100

# What the API server and controllers write into an object: no part of a job, and no mistake in it.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


def check(tree: Any) -> tuple[StreamJob | None, list[Broken]]:
    """The job that a tree describes, or everything that is wrong with it, in the words of `streamjob validate`.

    What the API server adds (`status`, and fields of `metadata` such as `uid`) is passed over. Raises nothing.
    """
    job, broken = None, []
    try:
        job = StreamJob.model_validate(_as_written(tree), by_alias=True, by_name=False, context=FIELDS_ONLY)
    except ValidationError as error:
        found = (explain(details) for details in error.errors(include_url=False) if not is_echo(details))
        broken = list(islice(found, MAX_BROKEN))
    broken += islice(rules_of_job(tree), MAX_BROKEN)
    return (None, broken) if broken else (job, [])


def _as_written(tree: Any) -> Any:
    """The tree without what the API server adds."""
    if not isinstance(tree, Mapping):
        return tree
    written = {name: value for name, value in tree.items() if name != "status"}
    if isinstance(written.get("metadata"), Mapping):
        written["metadata"] = {k: v for k, v in written["metadata"].items() if k not in _SERVER_METADATA}
    return written
