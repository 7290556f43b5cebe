"""One manifest in three environments: the example, and what docs/environments.md says of it."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from benchmarks.scale.control_plane import ControlPlane
from benchmarks.scale.resources import NAMESPACE

from streamjob_api import names
from support.cluster import Cluster
from support.control_plane import operated
from support.kafka import KafkaServer
from support.runtime import wait_for

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "environments"
STREAMJOB = Path(sys.executable).with_name("streamjob")
TIMEOUT_S = 120
EVENTS = [json.loads(line) for line in (EXAMPLE / "job/samples/01.json").read_text().splitlines()]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder of the job, so that a run leaves nothing behind."""
    return Path(shutil.copytree(EXAMPLE / "job", tmp_path / "job", ignore=shutil.ignore_patterns(".streamjob")))


def run_until_written(folder: Path, arguments: list[str], shows: str) -> None:
    """Run the job until it says so, by console or log, and stop it."""
    said = folder / "said"
    with said.open("wb") as stream:
        process = subprocess.Popen([STREAMJOB, "run", *arguments], cwd=folder, stdout=stream, stderr=stream)
        try:
            wait_for(lambda: bool(re.search(shows, said.read_text())) or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()
    assert re.search(shows, said.read_text()), said.read_text()


def test_on_a_laptop_files_and_the_terminal_take_the_places_of_kafka(job: Path) -> None:
    run_until_written(job, ["--replace", "laptop.yaml", "ad-views.yaml"], r"spring +│ 2026-11-21T09:00:00 +│ +2")
    assert re.search(r"autumn +│ 2026-11-21T09:00:00 +│ +1", (job / "said").read_text())
    done = subprocess.run(
        [STREAMJOB, "checkpoints", "list", "--replace", "laptop.yaml", "ad-views.yaml"],
        cwd=job,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0 and "a start goes on from here" in done.stdout, done.stderr


def test_with_values_it_is_the_job_of_production(job: Path, kafka: KafkaServer) -> None:
    prefix = f"{kafka.create_topic(1)}-"
    events, topic = (kafka.create_topic(1, f"{prefix}{name}") for name in ("events", "campaign-views"))
    (job / "table.yaml").write_text("tables: {ads: {files: {path: reference/ads.csv}}}")
    kafka.produce(events, [json.dumps(event).encode() for event in EVENTS])
    values = ["--set", f"KAFKA={kafka.servers}", "--set", f"PREFIX={prefix}"]
    run_until_written(job, ["--replace", "table.yaml", *values, "ad-views.yaml"], r"batch=\d+ .* out=2 ")
    rows = [json.loads(value or b"") for value in kafka.values(topic)]
    assert {(row["campaign_id"], row["views"]) for row in rows} == {("spring", 2), ("autumn", 1)}


def test_the_page_shows_what_the_example_has() -> None:
    page = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    laptop, references, kustomization, *_ = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.S))
    assert laptop == yaml.safe_load((EXAMPLE / "job/laptop.yaml").read_text())
    spec = yaml.safe_load((EXAMPLE / "job/ad-views.yaml").read_text())["spec"]
    assert references["spec"].items() <= spec.items()
    assert kustomization.items() <= yaml.safe_load((EXAMPLE / "test/kustomization.yaml").read_text()).items()


@pytest.fixture(scope="module")
def cluster(api_server: ControlPlane) -> Iterator[Cluster]:
    with operated(api_server) as cluster:
        yield cluster


@pytest.mark.parametrize("environment", ["test", "production"])
def test_an_overlay_gives_values_and_other_parts_to_a_cluster(cluster: Cluster, environment: str) -> None:
    objects = cluster.kubectl("kustomize", str(EXAMPLE / environment))
    spec = {"checkpoint": {"location": f"s3://checkpoints/{environment}"}}
    documents = list(yaml.safe_load_all(objects))
    for document in documents:
        # The operator of the tests has no default place for checkpoints.
        document.get("spec", {}).update(spec)
        if document["kind"] == "StreamJob":
            document["metadata"]["name"] = environment
    cluster.apply(yaml.safe_dump_all(documents), NAMESPACE)
    pod = cluster.wait(lambda: cluster.find("pod", f"{environment}-1-0", NAMESPACE), what="a pod")
    assert pod is not None
    revision = pod["metadata"]["labels"][names.LABEL_REVISION]
    config = cluster.get("configmap", f"{environment}-{revision}", NAMESPACE)
    (job,) = (yaml.safe_load(text)["spec"] for text in config["data"].values())
    values = next(document["data"] for document in documents if document["kind"] == "ConfigMap")
    kafka = job["sources"][0]["kafka"]
    assert (kafka["bootstrapServers"], kafka["topic"]) == (values["KAFKA"], f"{values.get('PREFIX', '')}events")
    assert job["tables"][0]["files"]["path"] == f"s3://{values['BUCKET']}/ads.csv"
    assert [kind for kind in ("console", "kafka") if kind in job["sinks"][0]] == [
        "console" if environment == "test" else "kafka"
    ]
    if environment == "production":
        assert job["batchInterval"] == "5s" and job["sinks"][0]["kafka"]["topic"] == "campaign-views"
