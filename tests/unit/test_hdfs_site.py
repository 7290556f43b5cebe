"""What the runtime reads in Hadoop's site files."""

from pathlib import Path

import pytest

from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.hdfs_site import Site, rotated


def write(folder: Path, name: str, **properties: str) -> None:
    each = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in properties.items())
    (folder / name).write_text(f'<?xml version="1.0"?>\n<configuration>{each}</configuration>')


def test_the_name_nodes_behind_a_name_are_asked_in_turn(tmp_path: Path) -> None:
    write(tmp_path, "core-site.xml", **{"fs.defaultFS": "hdfs://pair"})
    write(tmp_path, "hdfs-site.xml", **{"dfs.ha.namenodes.pair": " nn1, nn2 "})
    site = Site.read(tmp_path)
    assert site.name_nodes("pair") == site.name_nodes("") != {}
    assert site.name_nodes("another") == site.name_nodes("host:8020") == {}
    orders = [rotated(site.name_nodes("pair"), n)["dfs.ha.namenodes.pair"] for n in range(3)]
    assert orders == ["nn1,nn2", "nn2,nn1", "nn1,nn2"]


def test_a_folder_without_site_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"has neither core-site.xml nor hdfs-site.xml: put the cluster's site files"):
        Site.read(tmp_path)


def test_a_site_file_that_is_no_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "core-site.xml").write_text("fs.defaultFS: hdfs://pair")
    with pytest.raises(JobError, match=r"core-site.xml is no XML \(.*\): mend it"):
        Site.read(tmp_path)
