"""How often `monai-ceph detect` fetches a film behind a URL, and opens a local one.

``python benchmarks/reads.py`` writes small films and runs over them with a detector that answers at once. A web server
on the loopback interface counts the requests for each film; those that the run's own process sent are counted as "by
the run". On Ray none should be. ``strace`` counts how often a local film is opened, by any process, also by libraries
that are not written in Python. Without ``strace``, that part is left out.

Every figure is a mean over the films. ``--engine ray`` leaves out the local engines, and the other way round.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from batch import Instant
from PIL import Image

from monai_ceph.batch import Options, detect_films
from monai_ceph.datasets.phantom.dicom import save_dicom

FILMS = 6
SHAPE = (64, 48)
KINDS = {".dcm": "DICOM", "": "DICOM, no suffix", ".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF"}
FORMATS = frozenset({"csv", "json", "sr", "gsps"})


class Server(ThreadingHTTPServer):
    """Serves a folder, and counts the requests for each file.

    Attributes:
        requests: how often each method and path was asked for.
        by_run: the same, of requests that the process :attr:`run` sent.
        run: number of that process.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.requests: Counter[tuple[str, str]] = Counter()
        self.by_run: Counter[tuple[str, str]] = Counter()
        self.run = 0

    @property
    def url(self) -> str:
        """The URL of the folder."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    """Counts a request, then answers it."""

    server: Server

    def send_head(self):  # type: ignore[no-untyped-def]
        """Count."""
        key = (self.command, self.path)
        self.server.requests[key] += 1
        if holds_port(self.server.run, self.client_address[1]):
            self.server.by_run[key] += 1
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def holds_port(process: int, port: int) -> bool:
    """Return whether a process on this machine has a TCP connection from this port, as Linux tells."""
    inodes = {
        f"socket:[{fields[9]}]"
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(fields[1].partition(":")[2], 16) == port
    }
    with suppress(OSError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if str(entry.readlink()) in inodes:
                    return True
    return False


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder as long as the context lasts."""
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def write_films(folder: Path, suffix: str) -> None:
    """Write films of noise with one suffix; those without one are DICOM files."""
    folder.mkdir(parents=True)
    for number in range(FILMS):
        pixels = np.random.default_rng(number).integers(0, 4096, SHAPE).astype(np.uint16)
        path = folder / f"film-{number}{suffix}"
        if suffix in (".dcm", ""):
            save_dicom(path, pixels, 0.1, number)
        else:
            Image.fromarray((pixels >> 4).astype(np.uint8)).save(path)


def detect(films: str, out: Path, engine: str, workers: int) -> None:
    """Run over the films, in this process and those that it starts."""
    executor = None
    if engine == "ray":
        from monai_ceph.work.ray_cluster import RayExecutor

        executor = partial(RayExecutor, workers=workers, cpus=1, gpu=False)
    summary = detect_films([Path(films)], out, Instant, Options(FORMATS, workers=workers), make_executor=executor)
    if summary.with_landmarks != FILMS:
        raise SystemExit(f"{summary.with_landmarks} of {FILMS} films have landmarks; see {out}/errors.csv")


def run(films: str, out: Path, engine: str, workers: int, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start :func:`detect` in a process of its own."""
    # workers of Ray import this file's modules too
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])}
    environment.setdefault("RAY_OVERRIDE_RESOURCES", '{"CPU": 8}')
    command = [*before, sys.executable, __file__, "--films", films, "--out", str(out)]
    command += ["--engine", engine, "--workers", str(workers)]
    return subprocess.Popen(command, env=environment, text=True)


def finished(process: subprocess.Popen[str]) -> None:
    """Wait for a run, and end this program if it failed."""
    if process.wait():
        raise SystemExit(f"the run failed: {' '.join(map(str, process.args))}")


def requests(folder: Path, out: Path, engine: str, workers: int) -> list[float]:
    """Return GET requests, those of them by the run's own process, and HEAD requests, per film."""
    with serving(folder) as server:
        process = run(server.url, out, engine, workers)
        server.run = process.pid
        finished(process)
        films = Counter(method for method, path in server.requests.elements() if "film-" in path)
        by_run = sum(count for (method, path), count in server.by_run.items() if method == "GET" and "film-" in path)
    return [count / FILMS for count in (films["GET"], by_run, films["HEAD"])]


def opens(folder: Path, out: Path, workers: int) -> float:
    """Return how often a local film is opened."""
    log = out.with_suffix(".strace")
    strace = ("strace", "--follow-forks", "--trace=open,openat,openat2", "--quiet=all", "--output", str(log))
    finished(run(str(folder), out, "local", workers, strace))
    # calls that fail have the result -1; the result of an interrupted call is in another line
    opened = re.compile(rf'open(at2?)?\(.*"{re.escape(str(folder))}/film-[^"]*"(?!.* = -1)')
    return sum(map(bool, map(opened.search, log.read_text(errors="replace").splitlines()))) / FILMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["local", "ray"], help="only this engine")
    parser.add_argument("--films", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.films:
        detect(options.films, options.out, options.engine, options.workers)
        return
    print("| films | engine | workers | GET per film | of them by the run | HEAD per film | local: opened |")
    print("|---|---|---|---|---|---|---|")
    for suffix, kind in KINDS.items():
        for engine, workers in (("local", 1), ("local", 2), ("ray", 2)):
            if options.engine not in (None, engine) or (engine == "ray" and kind not in ("DICOM", "PNG")):
                continue
            with tempfile.TemporaryDirectory() as name:
                folder, out = Path(name, "films"), Path(name, "out")
                write_films(folder, suffix)
                cells = [f"{count:g}" for count in requests(folder, out / "url", engine, workers)]
                local = engine == "local" and shutil.which("strace")
                cells.append(f"{opens(folder, out / 'local', workers):g}" if local else "")
            print(f"| {' | '.join([kind, engine, str(workers), *cells])} |", flush=True)


if __name__ == "__main__":
    main()
