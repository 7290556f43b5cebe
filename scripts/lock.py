"""Pin every dependency with its hashes: requirements/*.txt from pyproject.toml. No index address stands in them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Which extras each file pins.
FILES = {
    "runtime": ["runtime", "kafka", "postgres", "hdfs", "delta"],
    "operator": ["operator"],
    "build": ["build"],
    "dev": ["runtime", "kafka", "postgres", "hdfs", "delta", "operator", "dev"],
    "bench": ["runtime", "bench"],
    "flink": ["flink"],
}


def main() -> None:
    """Write every file anew."""
    for name, extras in FILES.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
        command += ["--custom-compile-command", "make lock"]
        for extra in extras:
            command += ["--extra", extra]
        command += ["pyproject.toml", "-o", f"requirements/{name}.txt"]
        subprocess.run(command, cwd=ROOT, check=True)
        print(f"requirements/{name}.txt")


if __name__ == "__main__":
    main()
