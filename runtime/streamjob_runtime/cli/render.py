"""`streamjob render`: a manifest with its variables filled, as a cluster takes it."""

import sys
from pathlib import Path

import yaml

from streamjob_api.manifest import load_manifest
from streamjob_api.yaml_tree import read_documents
from streamjob_runtime.cli.load import variables
from streamjob_runtime.cli.problems import all_problems


def render(file: Path) -> int:
    """Print every document of the file with its values filled; 1, and what is wrong, if the StreamJob has mistakes."""
    problems = all_problems(load_manifest(file, variables()))
    if problems:
        for problem in problems:
            print(problem, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    documents, _ = read_documents(file.read_text(encoding="utf-8-sig"), variables())
    values = [document.value for document in documents]
    print(yaml.safe_dump_all(values, sort_keys=False, allow_unicode=True, width=120), end="")  # noqa: T201
    return 0
