"""All rules of a manifest: as functions for `streamjob validate`, and in CEL for the API server."""

from collections.abc import Iterator, Mapping
from typing import Any

from streamjob_api import trees
from streamjob_api.cel import CelRule, CelRules, placed
from streamjob_api.hdfs import HDFS_CEL, hdfs
from streamjob_api.rules.across import ACROSS_CEL, across
from streamjob_api.rules.pods import PODS_CEL, pods
from streamjob_api.rules.sinks import SINK_CEL, sink
from streamjob_api.rules.sources import SOURCE_CEL, source
from streamjob_api.rules.tables import TABLE_CEL, table
from streamjob_api.trees import Broken


def job(tree: Any) -> Iterator[Broken]:
    """Every rule that a whole manifest breaks."""
    spec = trees.mapping(trees.mapping(tree).get("spec"))
    for field, rules in (("sources", source), ("tables", table), ("sinks", sink)):
        for i, item in enumerate(trees.items(spec.get(field))):
            if isinstance(item, Mapping):
                yield from (broken.below("spec", field, i) for broken in rules(item))
    yield from (broken.below("spec", "hdfs") for broken in hdfs(trees.mapping(spec.get("hdfs"))))
    yield from (broken.below("spec") for broken in across(spec))
    yield from (broken.below("spec") for broken in pods(spec))


# The models hold it by a pattern of the name; in a CRD no schema reaches into `metadata`.
_NAME = CelRule(
    "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
    "metadata.name must be a DNS label: at most 63 lower-case letters, digits and -",
)

JOB_CEL: CelRules = placed(
    ("", {"": (_NAME,)}),
    ("spec", ACROSS_CEL),
    ("spec.sources[]", SOURCE_CEL),
    ("spec.tables[]", TABLE_CEL),
    ("spec.sinks[]", SINK_CEL),
    ("spec.hdfs", HDFS_CEL),
    ("spec", PODS_CEL),
)
