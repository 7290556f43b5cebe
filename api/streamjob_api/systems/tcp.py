"""TCP: lines that a server sends."""

from pydantic import Field

from streamjob_api.base import Int, Part
from streamjob_api.systems.kinds import SourceKind
from streamjob_api.texts import Host


class TcpSource(Part):
    """Lines that a TCP server sends. The job is the client and connects again when the connection is lost."""

    host: Host = Field(description="The server's host name or IP address.")
    port: Int = Field(ge=1, le=65535, description="The server's port.")


SOURCE = SourceKind(model=TcpSource, formats=("text", "json", "csv", "raw"), ends=False)
