"""From a StreamJob to what a pod runs: the rendered manifest, its hash, and what differs between two."""

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from streamjob_api import names
from streamjob_operator.model import Key, Revision, Tree

# What only the operator reads: a change of these needs no new pod. Of variables a pod gets the values.
IN_PLACE = ("suspend", "restart", "deletion", "nodeLoss", "variablesFrom")
SHOWN_FIELDS = 4
# Digits of a revision's name: as many as nobody finds a second manifest for. Names were once of ten.
_DIGITS, _LEAST_DIGITS = 32, 10
# A ConfigMap holds a MiB. What is longer is compressed, as text well is.
_MOST_PLAIN_BYTES = 1_000_000
# No manifest is longer: the API server takes no request of more.
_MOST_BYTES = 3 << 20
# Those in C take an eighth of the time, which is a third of what a new job costs the operator.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NoCheckpointLocation(Exception):
    """Neither the job nor the operator says where checkpoints are kept."""

    def __init__(self) -> None:
        super().__init__(
            "spec.checkpoint.location is missing, and this operator has no default for it: a pod has no folder that "
            "outlives it. Give the job a location such as s3://bucket/prefix, or the operator a default "
            "(defaultCheckpointLocation in the chart's values)"
        )


class NotWhatItSays(Exception):
    """A ConfigMap does not hold what its name says."""


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
    manifest = _manifest({"name": key.name, "namespace": key.namespace}, kept)
    return Revision(_digest(kept)[:_DIGITS], manifest)


def named(name: str, revision: Revision) -> Revision:
    """The revision by the name that a job of an older operator knows it by, if that is one of its names."""
    return Revision(name, revision.manifest) if _is_name_of(name, revision.spec) else revision


def to_data(revision: Revision) -> dict[str, dict[str, str]]:
    """What a ConfigMap holds of the revision: its manifest as text, or, where that is too long, compressed."""
    text = yaml.dump(dict(revision.manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    plain = text.encode()
    if len(plain) <= _MOST_PLAIN_BYTES:
        return {"data": {names.JOB_FILE: text}}
    packed = gzip.compress(plain, mtime=0)
    return {"binaryData": {names.JOB_FILE: base64.b64encode(packed).decode()}}


def from_data(key: Key, name: str, config: Tree) -> Revision:
    """The revision of that name in a ConfigMap. Raises `NotWhatItSays`: whoever may write ConfigMaps may write more."""
    try:
        manifest = _parse(_text_of(config))
        spec, metadata = manifest["spec"], {"name": key.name, "namespace": key.namespace}
        if not _is_name_of(name, spec):
            raise NotWhatItSays("the manifest in it is another one")
        if manifest != _manifest(metadata, spec):
            raise NotWhatItSays("the manifest in it is of another job")
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError, EOFError, OSError, zlib.error) as error:
        raise NotWhatItSays(f"no manifest can be read from it ({type(error).__name__})") from error
    return Revision(name, manifest)


def _manifest(metadata: Tree, spec: Tree) -> dict[str, Any]:
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": spec}


def _digest(spec: Tree) -> str:
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _is_name_of(name: str, spec: Tree) -> bool:
    return len(name) >= _LEAST_DIGITS and _digest(spec).startswith(name)


def _text_of(config: Tree) -> bytes:
    text = (config.get("data") or {}).get(names.JOB_FILE)
    if text is not None:
        return bytes(text.encode())
    packed = base64.b64decode(config["binaryData"][names.JOB_FILE], validate=True)
    unpacking = zlib.decompressobj(wbits=31)
    plain = unpacking.decompress(packed, _MOST_BYTES)
    if not unpacking.eof:
        raise ValueError("it is cut short, or becomes too long")
    return plain


def _parse(text: bytes) -> Any:
    # A short text of names for names can stand for a tree that no memory holds; ours has none.
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
        raise ValueError("it has an alias")
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one


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
