"""How a node handles many films at once, and how long each film waits for its report.

``python benchmarks/node_load.py --films 200`` pushes DICOM phantoms of 1935 x 2400 pixels (9.3 MB) over ten
associations as fast as the sender can, into a node with the real detector, on the loopback interface. It prints films
accepted and reported per second, the peak memory of the listening process, and the time from the answer to C-STORE
until the report is in the target: first for ``--alone`` films one at a time, then for all at once.

The target accepts all objects without reading them. Memory is that of the listening process, without the workers.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom import Dataset
from pynetdicom import AE, evt

from monai_ceph.datasets.phantom import write_phantoms

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pacs"))
from nodes import SR, RunningNode, running, send, settings, wait_until

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
SENDERS = 10


@contextmanager
def sink(port: int, arrived: dict[str, float]) -> Iterator[None]:
    """Listen for reports, and record when the report of each film arrived."""

    def take(event: evt.Event) -> int:
        if event.request.AffectedSOPClassUID == SR:
            (study,) = event.dataset.CurrentRequestedProcedureEvidenceSequence
            film = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            arrived[str(film)] = time.monotonic()
        return 0x0000

    entity = AE("PACS")
    for kind in (SR, GSPS):
        entity.add_supported_context(kind)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    yield
    server.shutdown()


def resident_mb(node: RunningNode) -> float:
    """Return the peak memory of the listening process, in MB."""
    assert node.process is not None
    text = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def numbered(film: Dataset, number: int) -> Dataset:
    """Return a film with its own UIDs."""
    result = copy.deepcopy(film)
    result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.3"
    result.StudyInstanceUID, result.SeriesInstanceUID = f"1.2.3.{number}.1", f"1.2.3.{number}.2"
    return result


def push(node: RunningNode, films: list[Dataset], arrived: dict[str, float]) -> list[float]:
    """Send films at once, wait for all reports; return the seconds from C-STORE to report of each, in order."""
    taken: dict[str, float] = {}
    lock = threading.Lock()
    waiting = iter(films)

    def sender() -> None:
        while True:
            with lock:
                film = next(waiting, None)
            if film is None:
                return
            while send(node.port, film) != [0]:
                time.sleep(0.5)
            taken[str(film.SOPInstanceUID)] = time.monotonic()

    start = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        for future in [pool.submit(sender) for _ in range(SENDERS)]:
            future.result()
    sent = time.monotonic() - start
    wait_until(lambda: taken.keys() <= arrived.keys(), 60 + 20 * len(films))
    seconds = sorted(arrived[uid] - taken[uid] for uid in taken)
    if len(films) > 1:
        print(f"taken               {len(films) / sent:6.2f} films/s")
        print(f"answered            {len(films) / (max(arrived.values()) - start):6.2f} films/s")
    return seconds


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--alone", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantoms = [pydicom.dcmread(path) for path in write_phantoms(folder, 4, 1)]
        films = [numbered(phantoms[number % 4], number) for number in range(1, options.films + options.alone + 1)]
        values, arrived = settings(folder), {}
        command = ("-m", "monai_ceph", "node", "run", "--config", str(folder / "node.yaml"))
        with sink(values["targets"]["dicom"][0]["port"], arrived), running(folder, values, *command) as node:
            alone = sorted(push(node, [film], arrived)[0] for film in films[: options.alone])
            before = resident_mb(node)
            together = push(node, films[options.alone :], arrived)
            print(f"largest memory      {resident_mb(node):6.0f} MB, {before:.0f} MB before all at once")
    for text, seconds in (("one at a time", alone), ("all at once", together)):
        late = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
        print(f"C-STORE to report   {statistics.median(seconds):6.2f} s median, {late:.2f} s at 95 %, {text}")


if __name__ == "__main__":
    main()
