"""Whatever a file holds, the answer is a job or problems with places, and never an exception."""

import json
import random
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_api.manifest import parse_manifest
from streamjob_api.models import StreamJob
from streamjob_api.reference_text import EXAMPLE
from support.manifests import GOOD

WORDS = ["name", "kind", "spec", "sources", "files", "tcp", "queue", "format", "schema", "json", "2s", "views", "from"]
WORDS += ["events", "column", "path", "interval", "batch_time", "s3://x", "availableNow"]
WORDS += ["", "\x85", "\ud800", "<<", "[key]"]

names = st.sampled_from(WORDS) | st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def check(text: str) -> None:
    loaded = parse_manifest(text, "job.yaml")
    assert (loaded.job is None) == bool(loaded.problems)
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    for problem in loaded.problems:
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.message
        assert "\n" not in str(problem)
        str(problem).encode("utf-8")
        assert loaded.locate(problem.path, "x y", 2) >= (1, 1)


@given(trees)
@settings(deadline=None)
def test_any_tree(tree: Any) -> None:
    check(json.dumps(tree))
    check(json.dumps({"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "spec": tree}))


@given(st.text(alphabet=st.sampled_from("ab:-?{}[]&*!|>'\"%#@, \n\t0.~<=é\x07\\U9"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text(text: str) -> None:
    check(text)
    check(f"kind: StreamJob\nspec: {text}")


@given(st.integers(min_value=0), st.lists(trees, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_good_manifest_with_changes(seed: int, values: list[Any]) -> None:
    rng = random.Random(seed)
    tree = deepcopy(GOOD[0])
    for value in values:
        mutate(tree, value, rng)
    check(json.dumps(tree))


@given(st.integers(min_value=0, max_value=len(EXAMPLE)), st.integers(min_value=0, max_value=5), st.text(max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_good_text_with_a_slip(at: int, gone: int, new: str) -> None:
    check(EXAMPLE[:at] + new + EXAMPLE[at + gone :])


@given(st.integers(min_value=0))
@settings(max_examples=50, deadline=None)
def test_what_is_good_reads_the_same_when_written_again(seed: int) -> None:
    rng = random.Random(seed)
    tree = deepcopy(GOOD[0])
    tree["spec"]["sources"][0]["maxRecordsPerBatch"] = rng.randint(1, 10**9)
    tree["spec"]["batchInterval"] = f"{rng.randint(1000, 2000)}ms"
    del tree["spec"]["checkpoint"]["interval"]
    job = parse_manifest(json.dumps(tree), "job.yaml").job
    assert job is not None
    again = parse_manifest(json.dumps(job.model_dump(mode="json", exclude_none=True)), "job.yaml")
    assert again.problems == []
    assert again.job == job
    assert StreamJob.model_validate(job.model_dump()) == job


def mutate(tree: Any, value: Any, rng: random.Random) -> None:
    """Put the value somewhere into the tree, or take something away."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(tree[key], dict | list) and tree[key] and rng.random() < 0.8:
            tree = tree[key]
            continue
        if rng.random() < 0.3:
            del tree[key]
        elif isinstance(tree, dict) and rng.random() < 0.3:
            tree[rng.choice(WORDS)] = value
        else:
            tree[key] = value
        return
