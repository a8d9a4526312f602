"""A real Orthanc as the hospital's PACS: its own process, its own folder, loopback ports, ended by its pid."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ORTHANC = shutil.which("Orthanc")
DICOM_WEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"  # apt-get install orthanc-dicomweb
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], *, timeout_s: float, what: str) -> Any:
    """Return the first truthy value of `condition`; fail after the deadline, naming what was awaited."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"{timeout_s:.0f} s passed without: {what}")


def build_loopback_shim(folder: Path) -> Path:
    """Compile the preload that keeps servers without a bind address on 127.0.0.1."""
    library = folder / "loopback.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("cc")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(HERE / "loopback.c"), "-ldl"], check=True, timeout=60
    )
    return library


class Orthanc:
    """Orthanc with one DICOM port, one HTTP port and the modalities it is told of."""

    def __init__(
        self, folder: Path, *, ae_title: str = "ORTHANC", lua: str | None = None, plugins: tuple[str, ...] = ()
    ) -> None:
        self.ae_title = ae_title
        self.dicom_port = free_port()
        self.http_port = free_port()
        self._folder = folder
        self._lua = lua
        self._plugins = plugins
        self._process: subprocess.Popen[bytes] | None = None
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60.0)

    def start(self, modalities: dict[str, tuple[str, int]]) -> None:
        """`modalities`: name -> (AE title, port), all on this machine."""
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration: dict[str, Any] = {
            "Name": self.ae_title,
            "StorageDirectory": str(self._folder / "db"),
            "IndexDirectory": str(self._folder / "db"),
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomModalities": {name: [aet, "127.0.0.1", port] for name, (aet, port) in modalities.items()},
            "StableAge": 1,
            "DefaultEncoding": "Utf8",  # of QIDO's answers too: Latin1, the default, drops every other letter
            "Plugins": list(self._plugins),
        }
        if self._lua is not None:
            script = self._folder / "route.lua"
            script.write_text(self._lua)
            configuration["LuaScripts"] = [str(script)]
        path = self._folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        assert ORTHANC is not None
        with (self._folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(
                [ORTHANC, str(path)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={
                    "LD_PRELOAD": str(build_loopback_shim(self._folder)),
                    "PATH": "/usr/bin:/bin",
                    "LC_ALL": "C.UTF-8",
                },
            )
        wait_until(self._answers, timeout_s=30, what="Orthanc answers on its REST port")

    def _answers(self) -> bool:
        try:
            return self.api.get("/system").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.api.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def upload(self, files: list[Path]) -> None:
        for file in files:
            self.api.post("/instances", content=file.read_bytes()).raise_for_status()

    def studies(self) -> list[str]:
        return list(self.api.get("/studies").json())

    def send_study(self, study: str, modality: str) -> None:
        """Store every instance of the study to the modality, as a user does from Orthanc's explorer."""
        answer = self.api.post(f"/modalities/{modality}/store", json={"Resources": [study], "Synchronous": True})
        answer.raise_for_status()

    def series(self, study: str) -> list[dict[str, Any]]:
        return list(self.api.get(f"/studies/{study}/series").json())

    def instances(self, study: str) -> list[str]:
        return [instance["ID"] for instance in self.api.get(f"/studies/{study}/instances").json()]

    def file(self, instance: str) -> bytes:
        return self.api.get(f"/instances/{instance}/file").content

    def count(self, study: str, modality: str) -> int:
        """How many instances of this Modality the study holds."""
        return sum(
            len(series["Instances"]) for series in self.series(study) if series["MainDicomTags"]["Modality"] == modality
        )
