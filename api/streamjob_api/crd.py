"""The CustomResourceDefinition: what the API server knows of StreamJobs. It comes from the models and from `rules`."""

from typing import Any

import yaml

from streamjob_api import names
from streamjob_api.crd_schema import Structural
from streamjob_api.models import StreamJob, StreamJobSpec
from streamjob_api.rules.job import JOB_CEL
from streamjob_api.status import Status

HEADER = "# Written by scripts/generate.py from the models in api/streamjob_api: change those, not this file.\n"

_READY = f'.status.conditions[?(@.type=="{names.ConditionType.READY}")]'
# name, type, path, priority (1: only with -o wide), meaning
_COLUMNS = (
    ("Ready", "string", f"{_READY}.status", 0, "Whether the job commits its batches."),
    ("Phase", "string", ".status.phase", 0, "Where the job stands."),
    ("Batch", "integer", ".status.lastBatch.id", 0, "The newest committed batch."),
    ("Checkpoint", "date", ".status.lastCheckpoint.time", 0, "The age of the newest checkpoint."),
    ("Restarts", "integer", ".status.restarts", 0, "How often the job was started again after a failure."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "How long the StreamJob has been there."),
    ("Attempt", "integer", ".status.attempt", 1, "The number of the present start."),
    ("Reason", "string", f"{_READY}.reason", 1, "Why the job is ready, or not."),
)


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition as a tree."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


def schema() -> dict[str, Any]:
    """The structural schema of a whole StreamJob."""
    structural = Structural(JOB_CEL)
    fields = StreamJob.model_fields
    spec = structural.object(StreamJobSpec, "spec", fields["spec"].description or "")
    root: dict[str, Any] = {
        "description": " ".join((StreamJob.__doc__ or "").split()),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": fields["api_version"].description, "type": "string"},
            "kind": {"description": fields["kind"].description, "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            # Until the operator has seen a job nobody may take it for one that is as it should be.
            "status": structural.object(Status, "status") | {"default": {"observedGeneration": -1}},
        },
    }
    root["x-kubernetes-validations"] = [rule.as_validation() for rule in JOB_CEL[""]]
    return root


def render() -> str:
    """The same as YAML."""
    text: str = yaml.dump(crd(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return HEADER + text


class _Dumper(yaml.SafeDumper):
    """Without aliases: a reader of the file should see each schema where it stands."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _column(name: str, kind: str, path: str, priority: int, description: str) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})
