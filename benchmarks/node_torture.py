"""Checks that a node loses no film: a real node and a real Orthanc on the loopback interface, with random failures.

``python benchmarks/node_torture.py --films 400 --minutes 20`` sends films over ten associations at once, each until the
node answers with success. Meanwhile, at random moments, the node is killed (SIGKILL), Orthanc is killed or stops
answering, connections from the node to Orthanc are cut during a transfer, and the node's disk becomes full (a small
file system in memory, if this process may mount one). Some films are not cephalograms, some kill the process that
works on them, some are sent twice, and some come again with another name of the patient. Every third comes by STOW-RS.
Clients without a login hold connections: association requests and data that arrive a byte at a time, HTTP requests and
uploads that never end, and bodies that are no multipart. The clock of the ledger jumps while the node is down. Reports
go to Orthanc by STOW-RS through a proxy that says nothing, lies, or answers late; presentation states by C-STORE, and
only Orthanc's storage commitment makes them count.

With ``--two``, two nodes share the folder, and one stands by. The one that works is killed or paused; the other takes
over, and the first one stands by when it comes back or wakes up.

At the end everything runs without failures until the node has no work left. Then the objects in Orthanc and in the
folder of dead letters are counted: every film must have one dead letter, or one report and one presentation state for
its last header, and reports for earlier headers only if a later one says that it replaces them.

The detector is a fake that takes no time: this measures what is lost, not what is found.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pacs"))
from cutter import Cutter
from liar import Liar
from nodes import Orthanc, RunningNode, SmallDisk, film, free_port, orthanc, send, settings, small_disk, wait_until
from pair import Pair
from stow_films import broken_upload, half_upload, post_film
from trickle import half_request, slow_association, slow_data

REJECTED, DEADLY = 1, 2
SENDERS = 10
DISK_MB = 64


@dataclass
class Tally:
    """The counts.

    Attributes:
        sent: films that the node answered with success.
        answered: films with one report for their last header in Orthanc, and a presentation state.
        dead: films with a dead letter.
        lost: films with neither.
        double: films with more than one report that counts, or with anything that nobody explains.
        wrong: films whose report that counts has another name than the last header.
        corrected: films that were sent again with another name.
        disturbances: how often each kind of failure was caused.
        seconds: duration of the run.
    """

    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    double: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    corrected: dict[str, str] = field(default_factory=dict)
    disturbances: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def torture(folder: Path, films: int, seconds: float, seed: int, pause: float = 3.0, two: bool = False) -> Tally:
    """Run it.

    Args:
        folder: folder for the node and Orthanc.
        films: number of films; every 20th is not a cephalogram, every 50th kills its process.
        seconds: failures are caused for at least this long, and until all films are accepted.
        seed: seed of the times and kinds of failures.
        pause: mean seconds between two failures.
        two: a second node stands by.
    """
    chance, tally, start = random.Random(seed), Tally(), time.monotonic()
    values = settings(folder, http={"host": "127.0.0.1", "port": free_port(), "stow": True})
    values["accept"] |= {"request_s": 2, "timeout_s": 5}
    with ExitStack() as stack:
        pacs = stack.enter_context(orthanc(folder / "orthanc", values["port"]))
        liar = stack.enter_context(Liar(pacs.url, chance))
        cutter = stack.enter_context(_cutter(pacs.port, chance))
        disk = stack.enter_context(small_disk(folder / "node", DISK_MB)) if SmallDisk.can_be_made() else None
        values["targets"]["dicom"][0].update(ae_title="ORTHANC", port=cutter.port, timeout_s=3, objects=["gsps"])
        values["targets"]["dicom"][0]["commitment_s"] = 10
        web = {"name": "web", "url": liar.url, "objects": ["sr"], "timeout_s": 3, "total_s": 6, "verify": True}
        values["targets"]["dicomweb"] = [web]
        node = Pair(folder, values, lease_s=3, seconds=0.02) if two else RunningNode(folder, values, seconds=0.02)
        node.start()
        try:
            _send_and_disturb(node, pacs, cutter, disk, films, seconds, chance, tally, pause)
            tally.disturbances["answers that lied or said nothing"] = liar.lies
            cutter.share = liar.share = 0.0
            wait_until(lambda: _idle(node), 1200 + films)
            _count(node, pacs, tally)
            assert node.stop() == 0
        finally:
            node.end() if isinstance(node, Pair) else node.kill()
    tally.seconds = time.monotonic() - start
    return tally


@contextmanager
def _cutter(port: int, chance: random.Random) -> Iterator[Cutter]:
    cutter = Cutter(port, chance)
    yield cutter
    cutter.close()


def _send_and_disturb(
    node: RunningNode | Pair,
    pacs: Orthanc,
    cutter: Cutter,
    disk: SmallDisk | None,
    films: int,
    seconds: float,
    chance: random.Random,
    tally: Tally,
    pause: float,
) -> None:
    end = time.monotonic() + seconds
    numbers = iter(range(1, films + 1))
    lock = threading.Lock()

    def sender() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            level = DEADLY if number % 50 == 0 else REJECTED if number % 20 == 0 else None
            dataset = film(number, level)
            # as a PACS that is not sure sends a film again; spread over the whole run
            for _ in range(2 if number % 7 == 0 else 1):
                while not _taken(node, dataset, by_stow=number % 3 == 0):
                    time.sleep(0.2)
            uid = str(dataset.SOPInstanceUID)
            tally.sent.add(uid)
            if number % 9 == 0 and level is None:
                # corrected in the PACS: another patient's header under the same UID
                name, patient = f"Corrected^{number}", f"C{number}"
                while not _taken(node, film(number, PatientName=name, PatientID=patient), by_stow=number % 2 == 0):
                    time.sleep(0.2)
                tally.corrected[uid] = name
            time.sleep(max(0.0, (end - time.monotonic()) / max(1, films - number) * SENDERS * 0.8))

    threads = [threading.Thread(target=sender, daemon=True) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    cutter.share = 0.3
    while time.monotonic() < end or any(thread.is_alive() for thread in threads):
        time.sleep(chance.expovariate(1 / pause))
        kinds = ["node killed", "node killed", "Orthanc killed", "Orthanc silent", "wrong clock", *_ATTACKS]
        kinds += ["node paused", "node paused"] if isinstance(node, Pair) else []
        # a short run must also have at least one kill
        kind = (
            chance.choice(kinds if disk is None else (*kinds, "disk full", "node killed on a full disk"))
            if tally.disturbances
            else "node killed"
        )
        tally.disturbances[kind] += 1
        if kind == "node killed":
            node.kill()
            time.sleep(chance.uniform(0, 0.5))
            node.start()
        elif kind == "node paused" and isinstance(node, Pair):
            node.pause()
        elif kind == "wrong clock":
            node.kill()
            _set_clock(node, chance)
            node.start()
        elif kind in _ATTACKS:
            # the port is closed for a moment if the node is only just coming up
            with suppress(OSError, AssertionError), _attack(kind, node, chance):
                time.sleep(chance.uniform(1, 4))
        elif kind == "Orthanc killed":
            pacs.kill()
            time.sleep(chance.uniform(0, 2))
            pacs.start()
        elif disk is not None and "disk" in kind:
            disk.fill()
            time.sleep(chance.uniform(1, 4))
            if "killed" in kind:
                node.kill()
            disk.empty()
            if "killed" in kind:
                node.start()
        else:
            pacs.pause()
            time.sleep(chance.uniform(1, 5))
            pacs.go_on()
    tally.disturbances["connections cut"] = cutter.cuts
    if disk is not None:
        said = ("disk or ledger cannot be written", "ledger cannot be written", "refused")
        tally.disturbances["trouble of a full disk logged"] = sum(
            "full" in str(event) or "No space" in str(event) for name in said for event in node.events(name)
        )


# the number of the first film that is sent as noise
_NOISE = 10**6
_ATTACKS = ("slow associations", "slow data", "half-sent HTTP requests", "half-sent uploads", "uploads of noise")


def _taken(node: RunningNode | Pair, dataset: Dataset, by_stow: bool) -> bool:
    """Send a film; return whether the node said that it has it."""
    if not by_stow:
        return send(node.port, dataset) == [0]
    try:
        return post_film(node.http_port, dataset)
    except AssertionError:  # no node works at the moment
        return False


@contextmanager
def _attack(kind: str, node: RunningNode | Pair, chance: random.Random) -> Iterator[None]:
    """Hold connections, more than there are places."""
    with ExitStack() as stack:
        if kind == "slow associations":
            stack.enter_context(slow_association(node.port, 60, pause=0.5))
        elif kind == "slow data":
            # of the accepted ones an address gets only so many, so the senders, which have the same one, keep some
            for _ in range(4):
                stack.enter_context(slow_data(node.port, pause=0.5))
        elif kind == "half-sent uploads":
            stack.enter_context(half_upload(node.http_port, 60))
        elif kind == "uploads of noise":
            for number in range(20):
                # under UIDs of their own, since one may be intact by chance
                broken_upload(node.http_port, chance, film(_NOISE + number, REJECTED))
        else:
            stack.enter_context(half_request(node.http_port, 200))
        yield


def _set_clock(node: RunningNode | Pair, chance: random.Random) -> None:
    """Let the times in the ledger be as if the clock had jumped by years, either way."""
    years = chance.choice((-2, 2)) * 365 * 86400.0
    with closing(sqlite3.connect(node.folder / "node.sqlite", timeout=30)) as ledger, suppress(sqlite3.Error), ledger:
        ledger.execute("UPDATE deliveries SET since = since + ?, next_try = next_try + ?", (years, years))


def _idle(node: RunningNode | Pair) -> bool:
    return not any((node.folder / "queue").iterdir())


def _count(node: RunningNode | Pair, pacs: Orthanc, tally: Tally) -> None:
    """Count only what is in the archive and the folder, not what the node reports."""
    reports: dict[str, list[dict[str, Any]]] = {}
    states: Counter[str] = Counter()
    for series in pacs.get("/series?expand"):
        for instance in series["Instances"]:
            tags: dict[str, Any] = pacs.get(f"/instances/{instance}/simplified-tags")
            if tags["Modality"] == "SR":
                reports.setdefault(_film_of(tags), []).append(tags)
            else:
                states[_film_of(tags)] += 1
    tally.dead = {json.loads(path.read_text())["uid"] for path in (node.folder / "dead").glob("*/reason.json")}
    for uid, all_of_it in reports.items():
        replaced = {each for tags in all_of_it for each in _replaced_by(tags)}
        current = [tags for tags in all_of_it if tags["SOPInstanceUID"] not in replaced]
        # a header that was corrected before its first report arrived leaves one state, otherwise two
        most = 2 if uid in tally.corrected else 1
        if len(current) != 1 or len(all_of_it) > most or not 1 <= states[uid] <= most:
            tally.double.add(uid)
        elif current[0]["PatientName"] != tally.corrected.get(uid, current[0]["PatientName"]):
            tally.wrong.add(uid)
        else:
            tally.answered.add(uid)
    tally.double |= (tally.answered | set(states)) & tally.dead
    tally.lost = tally.sent - tally.answered - tally.dead - tally.double - tally.wrong
    unknown = {uid for uid in (tally.answered | tally.dead) - tally.sent if int(uid.split(".")[3]) < _NOISE}
    tally.answered, tally.dead = tally.answered & tally.sent, tally.dead & tally.sent
    assert not unknown, f"answered, but nobody sent: {sorted(unknown)}"


def _replaced_by(tags: dict[str, Any]) -> Iterator[str]:
    """Yield the UIDs of the reports that a report says it replaces."""
    for study in tags.get("PredecessorDocumentsSequence", ()):
        for series in study["ReferencedSeriesSequence"]:
            yield from (item["ReferencedSOPInstanceUID"] for item in series["ReferencedSOPSequence"])


def _film_of(tags: dict[str, Any]) -> str:
    if tags["Modality"] == "SR":
        (study,) = tags["CurrentRequestedProcedureEvidenceSequence"]
        return str(study["ReferencedSeriesSequence"][0]["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"])
    return str(tags["ReferencedSeriesSequence"][0]["ReferencedImageSequence"][0]["ReferencedSOPInstanceUID"])


def main() -> None:
    """Run it and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--two", action="store_true", help="a second node stands by")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = torture(Path(folder), options.films, 60 * options.minutes, options.seed, two=options.two)
    disturbed = ", ".join(f"{count} x {kind}" for kind, count in sorted(tally.disturbances.items()))
    print(f"{tally.seconds:.0f} s, seed {options.seed}: {disturbed}")
    print(f"films sent and taken  {len(tally.sent)}")
    print(f"answered in Orthanc   {len(tally.answered)}")
    print(f"dead letters          {len(tally.dead)}")
    print(f"lost                  {len(tally.lost)}")
    print(f"double                {len(tally.double)}")
    print(f"corrected headers     {len(tally.corrected)}")
    print(f"for the wrong patient {len(tally.wrong)}")
    sys.exit(bool(tally.lost or tally.double or tally.wrong))


if __name__ == "__main__":
    main()
