from __future__ import annotations

import gc
import logging
import multiprocessing.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from hypothesis import settings
from samples import HEIGHT, WIDTH

# pytest calls these hooks by their names
from skip_summary import pytest_terminal_summary  # noqa: F401
from slow_files import pytest_collection_modifyitems  # noqa: F401

from monai_ceph.datasets import folder
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import SpacingSource
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity

# torch and MONAI take seconds to import: the process that hands out the tests, and a room without them, go without
if TYPE_CHECKING:
    from monai_ceph.detection import CephalogramDetector

# each of many processes would compile the package and the tests again
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SEED = 3

# deadlines mean nothing on a machine that is busy with other things
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all test files without collecting garbage, and let later collections skip what they imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Delete the temporary files that libraries and processes leave behind at the end of the session."""
    # created before pytest's own folder, which pytest keeps, and multiprocessing's, which ends with the process
    tmp_path_factory.getbasetemp()
    multiprocessing.util.get_temp_dir()
    # a short path, because a Unix socket's path may have 107 characters, and Ray adds 70
    with (
        tempfile.TemporaryDirectory(prefix="ceph-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


os.umask(_UMASK := os.umask(0o077))


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Restore what commands change in the process, since tests, and fixtures of whole files, call them in this one."""
    os.umask(_UMASK)
    yield
    os.umask(_UMASK)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Restore the root logger, which bundles configure in the process (bundles/logging.conf)."""
    _restore_logging()
    yield
    _restore_logging()


def _restore_logging() -> None:
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    # a bundle's handler writes to a stream that pytest has closed; pytest's own handlers are of subclasses
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: two films as 8-bit PNG, and their landmarks.csv."""
    root = tmp_path_factory.mktemp("phantoms")
    write_phantoms(root, 2, SEED, file_format="png", height=HEIGHT, width=WIDTH)
    return root


@pytest.fixture(scope="session")
def film(phantoms: Path) -> Path:
    return phantoms / "001.png"


@pytest.fixture(scope="session")
def truth(phantoms: Path) -> np.ndarray:
    """The landmarks of `film`: (19, 2), (row, column)."""
    return folder(phantoms)[0].landmarks


@pytest.fixture(scope="session")
def spacing(phantoms: Path) -> float:
    return folder(phantoms)[0].pixel_spacing


@pytest.fixture(scope="session")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`film` as DICOM DX, 12 bits, MONOCHROME2."""
    return write_phantoms(tmp_path_factory.mktemp("dicom"), 1, SEED, height=HEIGHT, width=WIDTH)[0]


@pytest.fixture(scope="session")
def monochrome1(dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dicom` as MONOCHROME1, stored with air white."""
    dataset = pydicom.dcmread(dicom)
    dataset.PixelData = (2**dataset.BitsStored - 1 - dataset.pixel_array).astype(np.uint16).tobytes()
    dataset.PhotometricInterpretation = "MONOCHROME1"
    if "PresentationLUTShape" in dataset:
        dataset.PresentationLUTShape = "INVERSE"
    path = tmp_path_factory.mktemp("monochrome1") / "film.dcm"
    dataset.save_as(path)
    return path


@pytest.fixture(scope="session")
def detector() -> CephalogramDetector:
    from monai_ceph.detection import CephalogramDetector

    return CephalogramDetector("cpu")


@pytest.fixture(scope="session")
def detect(detector: CephalogramDetector) -> Callable[[Path], Detection]:
    """Both stages on a file, cached per file."""
    return cache(lambda path: detector(path, force=True))


@pytest.fixture
def detection() -> Detection:
    """Made-up landmarks of a film of 300 x 400 pixels: x = 20, 30, ..., y = 50, 60, ..."""
    return Detection(
        file="film.png",
        image_uid=None,
        rows=400,
        columns=300,
        pixel_spacing=None,
        spacing_source=SpacingSource.NONE,
        turned=0,
        mirrored=False,
        inverted=False,
        state="ok",
        landmarks=tuple(
            DetectedLandmark(
                number=mark.number,
                name=mark.name,
                symbol=mark.symbol,
                x=20.0 + 10 * index,
                y=50.0 + 10 * index,
                score=0.9,
                status="ok",
            )
            for index, mark in enumerate(LANDMARKS)
        ),
        model=ModelIdentity(name="none", version="0", weights_sha256="0", recipe_sha256="0", software="none 0"),
        warnings=(),
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        seconds={"reading": 0.1},
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificates of the node and a sender."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("node", "sender", "stranger"):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder
