"""What Hadoop's site files say, as far as the runtime itself must know it."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjob_runtime.errors import JobError

FILES = ("core-site.xml", "hdfs-site.xml")

_AUTHENTICATION = "hadoop.security.authentication"
_DEFAULT_FS = "fs.defaultFS"
_NAME_NODES = "dfs.ha.namenodes"


@dataclass(frozen=True, slots=True)
class Site:
    """The properties of the site files; none where there are no files."""

    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Site":
        """Those of a folder. Raises `JobError` when there are none, or when one cannot be read."""
        found = [folder / name for name in FILES if (folder / name).is_file()]
        if not found:
            raise JobError(f"{folder} has neither {' nor '.join(FILES)}: put the cluster's site files there.")
        properties: dict[str, str] = {}
        for path in found:
            properties |= _properties(path)
        return cls(properties)

    @property
    def is_kerberos(self) -> bool:
        """Whether users are authenticated by Kerberos."""
        return self.properties.get(_AUTHENTICATION, "simple").lower() == "kerberos"

    def name_nodes(self, authority: str) -> dict[str, str]:
        """The property that lists the name nodes behind a name (none: the default file system's), with its value.

        Empty when there is one name node alone.
        """
        name = authority or self.properties.get(_DEFAULT_FS, "").removeprefix("hdfs://").partition("/")[0]
        key = f"{_NAME_NODES}.{name}"
        return {key: self.properties[key]} if key in self.properties else {}


def rotated(name_nodes: Mapping[str, str], by: int) -> dict[str, str]:
    """The same name nodes in the order in which another one, `by` places on, is asked first."""
    turned: dict[str, str] = {}
    for key, value in name_nodes.items():
        nodes = [node.strip() for node in value.split(",") if node.strip()]
        first = by % len(nodes) if nodes else 0
        turned[key] = ",".join(nodes[first:] + nodes[:first])
    return turned


def _properties(path: Path) -> dict[str, str]:
    try:
        # The job's own user has written them, or the administrator of the cluster that it trusts with its data.
        root = ET.parse(path).getroot()  # noqa: S314
    except ET.ParseError as err:
        raise JobError(f"{path} is no XML ({err}): mend it.") from None
    except OSError as err:
        raise JobError(f"{path} cannot be read ({err.strerror}): let the job's user read it.") from None
    read = ((each.findtext("name"), each.findtext("value")) for each in root.iter("property"))
    return {name.strip(): value.strip() for name, value in read if name and value}
