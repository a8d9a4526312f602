"""Certificates for the tests, made by the openssl command: an authority, and those it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    private_key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256, as `openssl x509 -fingerprint` writes it."""
        return openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256").strip().split("=")[1]


class Authority:
    """Signs certificates; `own.certificate` is what the others trust."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.own = _key(folder / "ca")
        openssl(
            *("req", "-x509", "-new", "-key", self.own.private_key, "-out", self.own.certificate, "-days", "30"),
            *("-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"),
        )

    @property
    def trusted(self) -> Path:
        return self.own.certificate

    def sign(self, name: str, *, days: int = 30) -> Certificate:
        """One whose CN and DNS name is `name`, also for 127.0.0.1; negative `days`: it has expired."""
        signed = _key(self._folder / f"{name}-{days}")
        request = signed.certificate.with_suffix(".csr")
        extensions = signed.certificate.with_suffix(".ext")
        extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
        openssl("req", "-new", "-key", signed.private_key, "-out", request, "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.own.certificate, "-CAkey", self.own.private_key),
            *("-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", signed.certificate),
        )
        return signed


def openssl(*arguments: str | Path) -> str:
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _key(stem: Path) -> Certificate:
    made = Certificate(Path(f"{stem}.pem"), Path(f"{stem}.key"))
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", made.private_key)
    return made
