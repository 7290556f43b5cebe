"""Symbolic links among the files of a source or a static table."""

import re
from pathlib import Path

import pytest

from streamjob_runtime.connectors.files.links import LinkRule
from streamjob_runtime.connectors.files.paths import list_files, split_glob
from streamjob_runtime.connectors.files.tails import Place
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.local import LocalStore


def store_of(path: Path | str, follow: bool = False) -> tuple[LocalStore, str | None]:
    root, pattern = split_glob(str(path))
    return LocalStore(Path(root), LinkRule('Source "s"', Path(root), pattern, follow)), pattern


def read(path: Path | str, follow: bool = False) -> dict[str, bytes]:
    store, pattern = store_of(path, follow)
    return {entry.key: store.read(entry.key) for entry in list_files(store, pattern)}


def followed(path: Path | str, follow: bool = False) -> set[str]:
    root, pattern = split_glob(str(path))
    place = Place(Path(root), pattern, LinkRule('Source "s"', Path(root), pattern, follow))
    return {seen.key for seen in place.look().values() if place.means(seen.key)}


def refused(link: Path, target: Path, top: Path) -> str:
    return re.escape(
        f'Source "s": {link} leads by a symbolic link to {target}, outside of {top}. Take it away, or write '
        "followLinks: true"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`in` with a file, beside a folder that is none of the source's."""
    for name in ("in/a.json", "in/sub/b.json", "out/secret.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_mounted_config_map_is_read_and_goes_on_with_its_next_version(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for version in ("..1", "..2"):
        (mount / version).mkdir(parents=True)
        (mount / version / "ads.json").write_text(version)
    (mount / "..data").symlink_to("..1")
    (mount / "ads.json").symlink_to("..data/ads.json")
    for path in (mount, f"{mount}/", f"{mount}/*.json", mount / "ads.json"):
        assert list(read(path).values()) == [b"..1"]
        assert {name.rpartition("/")[2] for name in followed(path)} == {"ads.json"}
    (mount / "..new").symlink_to("..2")
    (mount / "..new").replace(mount / "..data")
    assert read(f"{mount}/") == {"ads.json": b"..2"}


@pytest.mark.parametrize("path", ["in", "in/", "in/*.json"])
def test_a_link_to_a_file_that_leads_out_is_refused_unless_it_is_said(folder: Path, path: str) -> None:
    link, target = folder / "in" / "link.json", folder / "out" / "secret.json"
    link.symlink_to("../out/secret.json")
    for look in (read, followed):
        with pytest.raises(JobError, match=refused(link, target, folder / "in")):
            look(f"{folder}/{path}")
    found = {key.rpartition("/")[2]: data for key, data in read(f"{folder}/{path}", follow=True).items()}
    assert (found["link.json"], found["a.json"]) == (b"out/secret.json", b"in/a.json")
    assert {key.rpartition("/")[2] for key in followed(f"{folder}/{path}", follow=True)} >= {"link.json", "a.json"}


def test_a_link_to_a_folder_that_leads_out_is_refused_unless_it_is_said(folder: Path) -> None:
    link = folder / "in" / "more"
    link.symlink_to(folder / "out")
    for look in (read, followed):
        with pytest.raises(JobError, match=refused(link, folder / "out", folder / "in")):
            look(f"{folder}/in/")
    assert set(read(f"{folder}/in/", follow=True)) == {"a.json", "sub/b.json", "more/secret.json"}
    assert followed(f"{folder}/in/", follow=True) == {"a.json", "sub/b.json", "more/secret.json"}
    assert set(read(f"{folder}/in/*.json")) == {"a.json"}


def test_links_within_are_followed_and_no_file_is_read_by_way_of_two_folders(folder: Path) -> None:
    (folder / "in" / "again.json").symlink_to("sub/b.json")
    (folder / "in" / "sub2").symlink_to("sub")
    (folder / "in" / "round").symlink_to(".")
    for follow in (False, True):
        assert set(read(f"{folder}/in/", follow)) == {"a.json", "again.json", "sub/b.json"}
        assert followed(f"{folder}/in/", follow) <= {"a.json", "again.json", "sub/b.json"}


def test_a_path_that_is_a_link_itself_is_followed(folder: Path) -> None:
    (folder / "current").symlink_to("in")
    (folder / "one.json").symlink_to("out/secret.json")
    for path in ("current", "current/"):
        assert {key.removeprefix("current/") for key in read(f"{folder}/{path}")} == {"a.json", "sub/b.json"}
        assert {key.removeprefix("current/") for key in followed(f"{folder}/{path}")} == {"a.json", "sub/b.json"}
    assert read(f"{folder}/one.json") == {"one.json": b"out/secret.json"}
    (folder / "in" / "link.json").symlink_to(folder / "out" / "secret.json")
    with pytest.raises(JobError, match="leads by a symbolic link to"):
        read(f"{folder}/current")


def test_a_file_that_becomes_a_link_while_the_job_runs_is_looked_at_where_it_is_read(folder: Path) -> None:
    store, pattern = store_of(f"{folder}/in/")
    keys = [entry.key for entry in list_files(store, pattern)]
    (folder / "in" / "a.json").unlink()
    (folder / "in" / "a.json").symlink_to(folder / "out" / "secret.json")
    (folder / "in" / "sub" / "b.json").unlink()
    (folder / "in" / "sub").rmdir()
    (folder / "out" / "b.json").write_text("as well")
    (folder / "in" / "sub").symlink_to(folder / "out")
    for key in keys:
        with pytest.raises(JobError, match="leads by a symbolic link to"):
            store.read(key)
        with pytest.raises(JobError, match="leads by a symbolic link to"):
            store.stat(key)


def test_what_nobody_reads_may_lead_anywhere(folder: Path) -> None:
    for name in (".hidden", "_notes", "x.tmp", "dangling.json"):
        (folder / "in" / name).symlink_to(folder / "out" / ("none" if name == "dangling.json" else "secret.json"))
    (folder / "in" / ".git").symlink_to(folder / "out")
    assert set(read(f"{folder}/in/")) == {"a.json", "sub/b.json"}
