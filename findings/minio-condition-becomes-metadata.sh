#!/usr/bin/env bash
# minio-py 7.2.20: a condition given as metadata is stored as metadata, so that put_object overwrites.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check minio==7.2.20
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
"""Seen with minio 7.2.20 on 30 November 2026: put_object takes no headers, and If-None-Match among its metadata is sent
as x-amz-meta-If-None-Match, which a server keeps and does not obey. Nothing is refused, and an atomic create is none."""
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from minio import Minio

sent: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        sent.extend(self.headers)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Minio(
    f"127.0.0.1:{server.server_port}", access_key="key", secret_key="secret-key", secure=False, region="us-east-1"
)
client.put_object("bucket", "object", io.BytesIO(b"x"), 1, metadata={"If-None-Match": "*"})
server.shutdown()
names = [name.lower() for name in sent if "none-match" in name.lower()]
print("headers sent:", names)
assert names == ["x-amz-meta-if-none-match"], "this has changed"
PYTHON
