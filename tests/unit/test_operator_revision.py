"""What a ConfigMap holds of a job's manifest, and that it is looked at before anything is made of it."""

import base64
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_api import names
from streamjob_api.manifest import load_manifest
from streamjob_operator.model import Key, Revision
from streamjob_operator.revision import NotWhatItSays, from_data, named, render, to_data
from support.cluster_model import SPEC

KEY = Key("shop", "views")
MOST = 1 << 20  # bytes of a ConfigMap, by the API server's own rule


def size(data: dict[str, dict[str, str]]) -> int:
    plain = sum(len(text.encode()) for text in data.get("data", {}).values())
    return plain + sum(len(base64.b64decode(text)) for text in data.get("binaryData", {}).values())


def with_comment(words: str) -> Revision:
    sql = f"SELECT value FROM lines /* {words} */"
    return render(KEY, {**SPEC, "pipeline": [{"name": "step", "sql": sql}]}, None)


def text_of(revision: Revision, **changes: Any) -> dict[str, Any]:
    return {"data": {names.JOB_FILE: yaml.safe_dump({**revision.manifest, **changes})}}


def test_a_short_manifest_is_text_and_beyond_ascii_it_is_utf_8() -> None:
    data = to_data(with_comment("grün 東京"))
    assert "grün 東京" in data["data"][names.JOB_FILE] and "binaryData" not in data


@pytest.mark.parametrize("letters", ["abcdefghij ", "東京大阪名古屋札幌"], ids=["ascii", "three bytes each"])
def test_the_longest_manifest_fits_a_config_map_and_a_runtime_reads_it(letters: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    each, most = 16_300, 64
    steps = [
        {"name": f"s{i}", "sql": f"SELECT value FROM lines /* {''.join(rng.choices(letters, k=each))} */"}
        for i in range(min(most, 1_400_000 // (each * len(letters[0].encode()))))
    ]
    revision = render(KEY, {**SPEC, "pipeline": steps}, None)
    data = to_data(revision)
    assert size(data) < MOST and "data" not in data
    assert from_data(KEY, revision.name, data) == revision
    mounted = tmp_path / names.JOB_FILE
    mounted.write_bytes(base64.b64decode(data["binaryData"][names.JOB_FILE]))
    loaded = load_manifest(mounted)
    assert loaded.job is not None, loaded.problems
    assert [step.sql for step in loaded.job.spec.pipeline] == [step["sql"] for step in steps]


def test_a_revision_comes_back_by_its_name_and_by_the_short_one_that_older_operators_gave() -> None:
    revision = with_comment("x")
    assert len(revision.name) == 32
    assert from_data(KEY, revision.name, text_of(revision)) == revision
    short = revision.name[:10]
    assert from_data(KEY, short, text_of(revision)).name == short
    assert named(short, revision).name == short, "no job is restarted because its operator has become newer"
    assert named("0123456789", revision) == named("", revision) == named(revision.name[:9], revision) == revision


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"data": {"other.yaml": "a: 1"}},
        {"data": {names.JOB_FILE: "- a\n- list\n"}},
        {"data": {names.JOB_FILE: "{"}},
        {"data": {names.JOB_FILE: "[" * 5000}},
        {"binaryData": {names.JOB_FILE: "no base64"}},
        {"binaryData": {names.JOB_FILE: base64.b64encode(b"no gzip").decode()}},
        {"binaryData": {names.JOB_FILE: base64.b64encode(gzip.compress(b"#" * (4 << 20))).decode()}},
        text_of(with_comment("another")),
        text_of(with_comment("x"), metadata={"name": "other", "namespace": "shop"}),
        text_of(with_comment("x"), kind="Other"),
        {"data": {names.JOB_FILE: text_of(with_comment("x"))["data"][names.JOB_FILE] + "more: 1\n"}},
    ],
)
def test_a_config_map_that_does_not_hold_what_its_name_says_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(NotWhatItSays):
        from_data(KEY, with_comment("x").name, config)


def test_an_alias_is_refused_before_it_is_followed() -> None:
    revision = with_comment("x")
    same = [1, 2]
    aliased = yaml.safe_dump({**revision.manifest, "a": same, "b": same})
    with pytest.raises(NotWhatItSays, match="no manifest can be read"):
        from_data(KEY, revision.name, {"data": {names.JOB_FILE: aliased}})


LEAVES = st.one_of(
    st.text(),
    st.text(alphabet="\x00\x1b\x7f\x85\xa0\u2028\ufeff\r\n\t :#-'\"\\{}[]&*!|>%@`😀é1.e+_=~yn"),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(TREES)
@settings(deadline=None)
def test_whatever_stands_in_a_manifest_is_the_same_when_it_comes_back(tree: Any) -> None:
    revision = render(KEY, {**SPEC, "podTemplate": {"affinity": {"a": tree}}}, None)
    assert from_data(KEY, revision.name, to_data(revision)) == revision


def test_nothing_of_the_manifest_changes_on_its_way() -> None:
    spec = {**SPEC, "podTemplate": {"annotations": {"a": "yes", "b": "2026-11-21", "c": "1e3", "d": " x\n\n y "}}}
    revision = render(KEY, spec, None)
    assert json.dumps(from_data(KEY, revision.name, to_data(revision)).manifest) == json.dumps(revision.manifest)
