"""`streamjob run`, with a signal to itself at one step. Arguments: plan (JSON), manifest, file for the reason."""

import json
import os
import sys
from pathlib import Path

from streamjob_runtime.cli.run import RunOptions, run_job
from streamjob_runtime.engine.steps import Step

plan, manifest, termination = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
passed = 0


def hook(step: Step, _batch: int) -> None:
    """Raise the signal when the planned step is taken for the planned time."""
    global passed
    if plan and step is Step[plan["step"]]:
        if passed == plan["after"]:
            os.kill(os.getpid(), plan["signal"])
        passed += 1


sys.exit(run_job(RunOptions(manifest, termination_log=termination), hook))
