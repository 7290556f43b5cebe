"""From a StreamJob to what a pod runs: the rendered manifest, its hash, and what differs between two."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from streamjob_operator.model import Key, Revision, Tree

# What only the operator reads: a change of these needs no new pod.
IN_PLACE = ("suspend", "restart", "deletion", "nodeLoss")
SHOWN_FIELDS = 4


class NoCheckpointLocation(Exception):
    """Neither the job nor the operator says where checkpoints are kept."""

    def __init__(self) -> None:
        super().__init__(
            "spec.checkpoint.location is missing, and this operator has no default for it: a pod has no folder that "
            "outlives it. Give the job a location such as s3://bucket/prefix, or the operator a default "
            "(defaultCheckpointLocation in the chart's values)"
        )


def default_location(key: Key, base: str | None) -> str | None:
    """Where a job that names no location keeps its checkpoints below the operator's own place for them."""
    return base and f"{base.rstrip('/')}/{key.namespace}/{key.name}"


def render(key: Key, spec: Tree, location: str | None) -> Revision:
    """What a pod of this job is to run; `location`: for a spec that names none. Raises `NoCheckpointLocation`."""
    kept: dict[str, Any] = {name: value for name, value in spec.items() if name not in IN_PLACE}
    checkpoint = dict(kept.get("checkpoint") or {})
    if not checkpoint.get("location"):
        if not location:
            raise NoCheckpointLocation
        checkpoint["location"] = location
    kept["checkpoint"] = checkpoint
    manifest = {
        "apiVersion": "streamjob.dev/v1alpha1",
        "kind": "StreamJob",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": kept,
    }
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return Revision(hashlib.sha256(canonical.encode()).hexdigest()[:10], manifest)


def changed_fields(old: Tree, new: Tree) -> str:
    """The fields that differ between two specs, for people: the first few, and how many more."""
    paths = list(_differences("spec", old, new))
    more = len(paths) - SHOWN_FIELDS
    return ", ".join(paths[:SHOWN_FIELDS]) + (f" and {more} more" if more > 0 else "")


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from _differences(f"{path}.{name}", old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{path}[{i}]", before, after)
    else:
        yield path
