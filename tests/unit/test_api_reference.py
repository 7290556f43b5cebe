import re
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from streamjob_api.fields import fields_of, inner_model
from streamjob_api.kubernetes import FIELDS
from streamjob_api.manifest import parse_manifest
from streamjob_api.models import StreamJob, StreamJobSpec
from streamjob_api.names import ConditionType, Phase
from streamjob_api.reference import render
from streamjob_api.reference_text import CONDITIONS, EXAMPLE, PHASES
from streamjob_api.status import Status

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_models_say() -> None:
    assert (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8") == render()


def test_the_example_is_good() -> None:
    assert [str(problem) for problem in parse_manifest(EXAMPLE, "example").problems] == []


def test_every_field_has_a_meaning_and_a_row() -> None:
    page, models = render(), list[type[BaseModel]]([StreamJob, Status])
    for model in models:
        for name, field in fields_of(model).items():
            assert field.description, f"{model.__name__}.{name}"
            assert re.search(rf"^\| `{name}` \| .+ \| .* \| .+ \|$", page, re.MULTILINE)
            inner = inner_model(field.annotation)
            if inner and inner not in models:
                models.append(inner)
    assert len(models) == 52


def test_fields_that_only_a_cluster_heeds_say_so() -> None:
    said = set(re.findall(r"^\| `(\w+)` .*Kubernetes only\.", render(), re.MULTILINE))
    assert said == set(FIELDS) < set(fields_of(StreamJobSpec))


def test_every_phase_and_condition_has_a_meaning() -> None:
    assert list(PHASES) == list(Phase)
    assert list(CONDITIONS) == list(ConditionType)


def test_links_lead_somewhere() -> None:
    page = render()
    slugs = {
        re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.*)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#(.*?)\)", page)) <= slugs


def test_the_check_passes_on_what_is_checked_in() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
