"""Every SQL block of docs/sql.md is what the page says it is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
BLOCKS = re.findall(r"```sql ?(\w*)\n(.*?)```", PAGE, re.DOTALL)


def job(sql: str, mode: str) -> StreamJobSpec:
    declared = re.search(r"```yaml sources\n(.*?)```", PAGE, re.DOTALL)
    assert declared is not None
    given: dict[str, Any] = yaml.safe_load(declared[1])
    sink = {"from": "step", "mode": mode, "queue": {}}
    return StreamJobSpec.model_validate({**given, "pipeline": [{"name": "step", "sql": sql}], "sinks": [sink]})


@pytest.mark.parametrize(("mark", "sql"), BLOCKS)
def test_the_block_is_planned_or_refused_as_marked(mark: str, sql: str) -> None:
    if mark == "refused":
        with pytest.raises(PlanError, match=r"spec.pipeline\[0\].sql"):
            plan(job(sql, "append"))
    else:
        plan(job(sql, mark or "append"))


def test_the_page_has_examples_of_each_kind() -> None:
    assert {mark for mark, _ in BLOCKS} == {"", "append", "update", "complete", "refused"}
