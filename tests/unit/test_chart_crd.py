"""The CRD as the chart carries it."""

from pathlib import Path

import yaml

from support.chart import CHART, CRD, copy_of_the_chart, of_kind, only, render, template


def test_the_crd_is_the_generated_file_and_stays_when_the_release_goes() -> None:
    crd = only(render(), "CustomResourceDefinition")
    metadata = crd["metadata"]
    assert metadata.pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert metadata.pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == yaml.safe_load(CRD.read_text(encoding="utf-8"))


def test_the_crd_goes_with_the_release_if_that_is_said() -> None:
    crd = only(render({"crds.keep": False}), "CustomResourceDefinition")
    assert "annotations" not in crd["metadata"]


def test_a_release_may_leave_the_crd_to_another() -> None:
    assert not of_kind(render({"crds.install": False}), "CustomResourceDefinition")


def test_text_of_the_crd_is_no_template_and_keeps_its_numbers(tmp_path: Path) -> None:
    chart = copy_of_the_chart(tmp_path)
    crd = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["description"] = r'{{ .Values.none }} matches ^[^\s"\\]+\.{{2,3}}$'
    schema["properties"]["spec"]["maxProperties"] = 123_456_789_012
    (chart / CRD.relative_to(CHART)).write_text(yaml.safe_dump(crd, sort_keys=False), encoding="utf-8")
    found = only(render(chart=chart), "CustomResourceDefinition")
    assert found["spec"] == crd["spec"]
    assert "123456789012" in template(chart=chart).stdout


def test_a_chart_without_its_crd_says_how_to_get_it(tmp_path: Path) -> None:
    chart = copy_of_the_chart(tmp_path)
    (chart / CRD.relative_to(CHART)).unlink()
    assert "run make generate" in template(chart=chart).stderr
