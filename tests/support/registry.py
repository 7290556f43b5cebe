"""A schema registry of the test's own: Apicurio's, which has Confluent's REST API."""

import io
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import fastavro
from benchmarks.ports import free_port
from scripts import tools

JARS = tools.place("registry").path

_START_S = 90
_STOP_S = 20
_PASSWORD = "registry"  # of a certificate that lives as long as the test
_TYPE = "application/vnd.schemaregistry.v1+json"


def written(schema_id: int, schema: Any, value: Any) -> bytes:
    """A record as Confluent's serializers write it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


class RegistryServer:
    """A registry on free ports of 127.0.0.1. Killed and started again, it has the same ports and the same schemas.

    `secure_url` is by TLS; the certificate that tells the server is the PEM file `ca`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self._secure_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self.secure_url = f"https://127.0.0.1:{self._secure_port}/apis/ccompat/v7"
        self.ca = folder / "ca.pem"

    def start(self) -> None:
        """Start, and wait until it answers."""
        java = shutil.which("java")
        assert java is not None
        if not self._folder.exists() or not self.ca.exists():
            self._make_certificate()
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
        options += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}"]
        options += [
            f"-Dquarkus.http.ssl-port={self._secure_port}",
            "-Dquarkus.http.ssl.certificate.key-store-file=keys.p12",
        ]
        options += [f"-Dquarkus.http.ssl.certificate.key-store-password={_PASSWORD}"]
        options += [f"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:{self._folder}/data;WRITE_DELAY=0"]
        (runner,) = JARS.glob("apicurio-registry-app-*-runner.jar")
        with (self._folder / "out.log").open("ab") as output:
            self._process = subprocess.Popen(
                [java, *options, "-cp", f"{runner}:{JARS}/lib/*", "io.quarkus.runner.GeneratedMain"],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, f"the registry has ended: {self._folder}/out.log"
            assert time.monotonic() < deadline, f"the registry does not answer: {self._folder}/out.log"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)
            self._process = None

    def register(self, subject: str, schema: Any, references: list[dict[str, Any]] | None = None, **more: Any) -> int:
        """Add a version to a subject; the schema's number."""
        body = {"schema": schema if isinstance(schema, str) else json.dumps(schema), "references": references or []}
        return int(self.ask("POST", f"/subjects/{subject}/versions", {**body, **more})["id"])

    def latest(self, subject: str) -> Any:
        """The newest schema of a subject."""
        return json.loads(self.ask("GET", f"/subjects/{subject}/versions/latest")["schema"])

    def subjects(self) -> list[str]:
        """All of them."""
        return list(self.ask("GET", "/subjects"))

    def read(self, message: bytes | None) -> Any:
        """The record as another client reads it."""
        assert message is not None and message[0] == 0
        schema = json.loads(self.ask("GET", f"/schemas/ids/{int.from_bytes(message[1:5], 'big')}")["schema"])
        rest = io.BytesIO(message[5:])
        found = fastavro.schemaless_reader(rest, fastavro.parse_schema(schema), None)
        assert rest.read() == b""
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers; raises if it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": _TYPE}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    def _make_certificate(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        store = ["-keystore", "keys.p12", "-storetype", "PKCS12", "-storepass", _PASSWORD, "-alias", "registry"]
        new = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=127.0.0.1", "-ext", "SAN=IP:127.0.0.1", "-validity", "9"]
        for arguments in ([*new, *store], ["-exportcert", "-rfc", "-file", self.ca.name, *store]):
            subprocess.run(["keytool", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=_START_S)

    def _answers(self) -> bool:
        try:
            self.subjects()
        except (urllib.error.URLError, OSError):
            return False
        return True
