"""What `helm test` runs, in a pod of the operator's image and service account.

It proves that the operator answers through its Service and is ready, that the API server serves StreamJobs and lets the
operator list them where it should, and nowhere else, and that the operator can list no Secrets.

OPERATOR is the Service's URL, NAMESPACES the watched ones, separated by spaces (empty: all).
"""

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API_SERVER = "https://kubernetes.default.svc"
ATTEMPTS = 60  # one a second: a release that was installed just now may still be starting


def main() -> int:
    """Check one thing after another; the exit code."""
    namespaces = os.environ["NAMESPACES"].split()
    folders = [f"/namespaces/{name}" for name in namespaces] or [""]
    expected = [(os.environ["OPERATOR"] + "/readyz", 200)]
    expected += [(f"{API_SERVER}/apis/streamjob.dev/v1alpha1{folder}/streamjobs?limit=1", 200) for folder in folders]
    expected += [(f"{API_SERVER}/api/v1{folder}/secrets?limit=1", 403) for folder in folders]
    if namespaces:
        expected += [(f"{API_SERVER}/apis/streamjob.dev/v1alpha1/streamjobs?limit=1", 403)]
    return max([check(url, status) for url, status in expected])


def check(url: str, expected: int) -> int:
    """Ask until the status is as expected, and say what came; 1 if it never was."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(1)  # noqa: TID251
        answer = ask(url)
        if answer.startswith(str(expected)):
            sys.stdout.write(f"ok: {url} answers {answer}\n")
            return 0
        # An allowed Secret does not become a forbidden one by waiting.
        if expected == 403 and answer.startswith("200"):
            break
    sys.stdout.write(f"FAILED: {url} answers {answer}, not {expected}\n")
    return 1


def ask(url: str) -> str:
    """The status of a GET and the beginning of its text, or why there is none."""
    request, context = urllib.request.Request(url), None  # noqa: S310
    if url.startswith(API_SERVER):
        request.add_header("Authorization", "Bearer " + (ACCOUNT / "token").read_text(encoding="utf-8"))
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as response:  # noqa: S310
            return str(response.status)
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return f"not at all ({error})"


sys.exit(main())
