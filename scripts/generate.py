"""Writes the files that come from the models, and the version where people read it.

`--check` writes nothing and fails when one is not as it would be.
"""

import argparse
import sys
from pathlib import Path

from scripts.version import PLACES, with_version

from streamjob_api import crd, json_schema, reference

ROOT = Path(__file__).resolve().parent.parent
CRD = "streamjob.dev_streamjobs.yaml"


def generated() -> dict[Path, str]:
    """Every generated file, as it should be."""
    definition = crd.render()
    return {
        **{ROOT / path: with_version((ROOT / path).read_text(encoding="utf-8"), at) for path, at in PLACES.items()},
        ROOT / "docs" / "manifest.md": reference.render(),
        ROOT / "schemas" / "streamjob.json": json_schema.render(),
        ROOT / "crds" / CRD: definition,
        ROOT / "charts" / "streamjob-operator" / "files" / "crds" / CRD: definition,
    }


def main() -> int:
    """Give back the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    stale = False
    for path, text in generated().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'not up to date; run make generate' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
