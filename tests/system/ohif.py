"""OHIF as a hospital serves it: its built pages and Orthanc's DICOMweb behind one origin, on loopback."""

import json
import os
import sys
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import httpx

from tests.http_service import HttpService
from tests.system import browser
from tests.system.orthanc import Orthanc

VERSION: Final = "3.13.2"
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
DIST: Final = _CACHE / "spinenode-peers" / f"ohif-{VERSION}" / "package" / "dist"  # by tests/system/install_peers.sh
_DICOM_WEB: Final = "/dicom-web"
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})
_SOURCE: Final[dict[str, Any]] = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "orthanc",
    "configuration": {
        "friendlyName": "Orthanc",
        "name": "orthanc",
        "qidoRoot": _DICOM_WEB,
        "wadoRoot": _DICOM_WEB,
        "wadoUriRoot": _DICOM_WEB,
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
    },
}
CONFIGURATION: Final[dict[str, Any]] = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 1,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},  # a notice over the lower edge of every picture
    "defaultDataSourceName": "orthanc",
    "dataSources": [_SOURCE],
}


def missing() -> str:
    """Why OHIF cannot be shown here; empty when everything is there."""
    if reason := browser.missing():
        return reason
    return "" if (DIST / "index.html").is_file() else f"OHIF {VERSION} is not in {DIST.parents[1]} (make peers)"


class OhifSite:
    """OHIF's pages, its configuration and Orthanc's DICOMweb under http://127.0.0.1:PORT."""

    def __init__(self, pacs: Orthanc) -> None:
        self._server = _Server(("127.0.0.1", 0), _Page)
        self._server.upstream = httpx.Client(base_url=f"http://127.0.0.1:{pacs.http_port}", timeout=60.0)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="ohif-site", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()
        self._server.upstream.close()


class _Server(HttpService):
    daemon_threads = True
    upstream: httpx.Client

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that is left gives up its requests; any other fault is told as usual."""
        if not isinstance(sys.exception(), httpx.TransportError | RuntimeError):
            super().handle_error(request, client_address)


class _Page(SimpleHTTPRequestHandler):
    """A file of OHIF's build; its index for every other path, which OHIF routes itself; DICOMweb from Orthanc."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(DIST))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(_DICOM_WEB):
            self._forward()
        elif path == "/app-config.js":
            self._answer(
                200, {"Content-Type": "text/javascript"}, f"window.config = {json.dumps(CONFIGURATION)};".encode()
            )
        else:
            if not (DIST / path.lstrip("/")).is_file():
                self.path = "/index.html"
            super().do_GET()

    def _forward(self) -> None:
        headers = {name: self.headers[name] for name in ("Accept", "Host") if name in self.headers}
        answer = self.server.upstream.get(self.path, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        self._answer(answer.status_code, kept, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Nothing: a test's output is its own."""
