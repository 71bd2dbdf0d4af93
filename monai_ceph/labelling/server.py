"""Starts MONAI Label's server with the app. By default only this machine can reach it. Its folders are private."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from monai_ceph.errors import CephError
from monai_ceph.profiles import load_profile
from monai_ceph.reports.object_settings import load_object_settings
from monai_ceph.storage.atomic import written_beside
from monai_ceph.web.loopback import is_loopback

__all__ = ["ServerOptions", "serve"]

_MAIN = '''"""Written by monai-ceph label: MONAI Label imports the app from here."""

from monai_ceph.labelling.app import CephalometricApp  # noqa: F401
'''
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServerOptions:
    """Options of the server, see ``monai-ceph label --help``.

    Attributes:
        studies: a folder, or the URL of a DICOMweb server.
        host: address to listen on.
        port: port to listen on.
        work: the working folder; by default a folder in the user's cache, one for each ``studies``.
        modalities: modalities to list from a PACS; DX and CR if it is empty.
        origins: origins of web pages that may use the server.
        certificate: certificate file for HTTPS.
        key: file with the certificate's key.
        profile: a clinic's profile, which moves the points of the weights that it was learned with.
        device: a torch device.
        overlays: bundle configs that change single keys.
        review_url: address of ``monai-ceph review`` for the same films; the server's description names it.
        objects: file with the settings of the DICOM objects.
    """

    studies: str
    host: str = "127.0.0.1"
    port: int = 8000
    work: Path | None = None
    modalities: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    profile: Path | None = None
    device: str | None = None
    overlays: tuple[Path, ...] = ()
    review_url: str | None = None
    objects: Path | None = None

    @property
    def remote(self) -> bool:
        """Whether the films are in a PACS."""
        return self.studies.startswith(("http://", "https://"))

    def working_folder(self) -> Path:
        """Return the absolute path of the working folder."""
        if self.work is not None:
            return self.work.absolute()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = self.studies.rstrip("/") if self.remote else str(Path(self.studies).resolve())
        return cache / "monai-ceph" / "label" / hashlib.sha256(name.encode()).hexdigest()[:16]


def serve(options: ServerOptions, warn: Callable[[str], None]) -> None:
    """Run the server until it is stopped.

    Args:
        options: options of the server.
        warn: shows a warning to the user who starts the server.

    Raises:
        CephError: MONAI Label is not installed, the folder does not exist, the profile or the settings cannot be read,
            the address of the review cannot be opened, or the port is taken.
    """
    if find_spec("monailabel") is None:
        raise CephError("MONAI Label is not installed. Run `make label`, or see docs/how-to/monai-label.md")
    if not options.remote and not Path(options.studies).is_dir():
        raise CephError(f"--studies {options.studies}: neither a folder nor a URL that begins with http")
    if bool(options.certificate) != bool(options.key):
        raise CephError("--ssl-certfile and --ssl-keyfile go together")
    if options.profile is not None:
        load_profile(options.profile)
    if options.objects is not None:
        load_object_settings(options.objects)
    if options.review_url is not None and not options.review_url.startswith(("http://", "https://")):
        raise CephError(f"--review-url {options.review_url}: not an address such as https://review.clinic.example/")
    _check_free(options.host, options.port)
    work = options.working_folder()
    _prepare(work)
    _set_environment(options, work)
    _start(options, work, warn)


def _check_free(host: str, port: int) -> None:
    # uvicorn would report a port in use only after the model was loaded
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CephError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _prepare(work: Path) -> None:
    """Create the working folder. Only its owner can read it: uploads and films from a PACS contain patients' names.

    Raises:
        CephError: the folder contains other files with the names that the server needs.
    """
    main = work / "main.py"
    # if _MAIN changes, earlier texts must be accepted here, too
    if os.path.lexists(main):
        if not main.is_file() or main.read_text(encoding="utf-8", errors="replace") != _MAIN:
            raise CephError(f"{main}: not written by monai-ceph label. Choose another folder with --work")
    elif (work / "tmp").is_dir() and any((work / "tmp").iterdir()):
        raise CephError(f"{work / 'tmp'}: contains files, which would be deleted. Choose another folder with --work")
    for folder in (work, work / "tmp", work / "sessions"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    for leftover in (work / "tmp").iterdir():
        if leftover.is_file():
            leftover.unlink()
    with written_beside(main) as part:
        part.write_text(_MAIN, encoding="utf-8")


def _set_environment(options: ServerOptions, work: Path) -> None:
    """Set environment variables for MONAI Label and the processes that it starts."""
    # uploads get a separate folder: the app opens no other files for a client
    os.environ["TMPDIR"] = str(work / "tmp")
    tempfile.tempdir = None
    os.environ["MONAI_LABEL_SESSION_PATH"] = str(work / "sessions")
    # scoring runs the model on every labelled film, which takes too long after every saved label
    os.environ.setdefault("MONAI_LABEL_AUTO_UPDATE_SCORING", "false")
    os.environ["MONAI_CEPH_LABEL_ORIGINS"] = ",".join(options.origins)
    os.environ["MONAI_CEPH_LABEL_HOSTS"] = ",".join(_LOOPBACK_NAMES) if is_loopback(options.host) else ""


def _start(options: ServerOptions, work: Path, warn: Callable[[str], None]) -> None:
    from monai_ceph.labelling import shims  # noqa: F401

    # isort: split
    from monailabel.config import settings
    from monailabel.main import Main

    if not is_loopback(options.host) and not settings.MONAI_LABEL_AUTH_ENABLE:
        warn(
            f"monai-ceph: {options.host} can be reached from other machines, and authentication is off: anybody there "
            "can read all films. Set MONAI_LABEL_AUTH_ENABLE, see docs/how-to/monai-label.md."
        )
    overlays = os.pathsep.join(str(path.absolute()) for path in options.overlays)
    conf = {"device": options.device or "", "modalities": ",".join(options.modalities), "overlays": overlays}
    conf["profile"] = str(options.profile.absolute()) if options.profile is not None else ""
    conf["objects"] = str(options.objects.absolute()) if options.objects is not None else ""
    conf["review_url"] = options.review_url or ""
    arguments = ["start_server", "--app", str(work), "--studies", options.studies, "--host", options.host]
    arguments += ["--port", str(options.port), "--uvicorn_app", "monai_ceph.labelling.web:app"]
    for key, value in conf.items():
        arguments += ["--conf", key, value] if value else []
    if options.certificate and options.key:
        arguments += ["--ssl_certfile", str(options.certificate), "--ssl_keyfile", str(options.key)]
    main = Main()
    main.action_start_server(main.args_parser().parse_args(arguments))
