"""How a page of the docs is read as a test: what counts as printed, and what does not."""

from pathlib import Path

import pytest

from support.pages import Step, missing, steps

PAGE = """
```sh
kubectl get stj
kubectl logs a --tail=1
```

```text
NAME
```

Prose, and a block that is no command:

```yaml
a: 1
```

```sh refused
kubectl apply -f a.yaml
```
"""


def test_a_page_is_a_list_of_steps(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    assert steps(tmp_path / "page.md") == [
        Step(3, "kubectl get stj\nkubectl logs a --tail=1\n", False, "NAME\n"),
        Step(18, "kubectl apply -f a.yaml\n", True, ""),
    ]
    look, change = steps(tmp_path / "page.md")
    assert look.only_looks
    assert not change.only_looks


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("NAME  READY\n", "NAME     READY\n"),
        ("a 12s\n", "a 1d2h\n"),
        ("batch 11 · 2026-11-21T13:47:54.448Z\n", "batch 7 · 2027-01-02T03:04:05Z\n"),
        ("next=11 replayed=0\n", "next=7 replayed=0\n"),
        ("a 283.4\n", "a 89\n"),
        ("a 9\n", "a 1\n"),
        ("first\nlast\n", "first\nin between\nlast\n"),
        ("first\n…\nlast\n", "first\nin\nbetween\nlast\n"),
        ("first\n…\n\nlast\n", "first\nlast\n"),
        ("pod/minio-… created\n", "pod/minio-b54dfc699 created\n"),
        ("said: … what counts\n", "said: a file, what counts\n"),
    ],
)
def test_what_may_differ(shown: str, printed: str) -> None:
    assert missing(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("word-count-2-0\n", "word-count-1-0\n"),
        ("a 1\n", "a 0\n"),
        ("a 11\n", "a\n"),
        ("replayed=0\n", "replayed=7\n"),
        ("next=11\n", "last=11\n"),
        ("a 12s\n", "a 12\n"),
        ("a\n", "a b\n"),
        ("a.c\n", "abc\n"),
        ("second\nfirst\n", "first\nsecond\n"),
        ("twice\ntwice\n", "twice\n"),
    ],
)
def test_what_may_not(shown: str, printed: str) -> None:
    assert missing(shown, printed) == shown.splitlines()[-1]
