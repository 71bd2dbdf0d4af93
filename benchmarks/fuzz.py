"""Reads damaged files, and reports crashes, hangs, errors other than ReadError, and excessive memory use.

``python benchmarks/fuzz.py`` writes small valid files of every kind, damages copies of them (flipped bits, other
bytes, cuts, insertions, doubled and swapped blocks, changed lengths), and reads them in a child process with limits of
time and memory per file. It prints the outcomes per kind, and how to repeat each finding. The exit code is 1 if there
is a finding. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom import uid as uids
from pydicom.sequence import Sequence
from sample_files import COMPRESSED, compressed, dicom, picture, save

_READ, _REFUSED = "read", "refused"
_MEMORY = 512 * 2**20
_ODD_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Finding:
    """A damaged file that was neither read nor refused."""

    number: int
    kind: str
    outcome: str


def write_samples(folder: Path) -> list[Path]:
    """Write a valid file of every kind and return the paths; the stem names the kind."""
    grey, word, colour = picture(bits=8), picture(), picture(bits=8, samples=3)
    header = {
        "PatientName": "Doe^Jane",
        "ImagerPixelSpacing": [0.15, 0.15],
        "DistanceSourceToDetector": 1650,
        "PatientOrientation": ["A", "F"],
    }
    curve = Dataset()
    curve.add_new("LUTDescriptor", "US", [4096, 0, 12])
    curve.add_new("LUTData", "US", list(range(4096)))
    films = {
        "explicit": dicom(word, 12, **header, VOILUTSequence=Sequence([curve])),
        "implicit": dicom(word, 12, uids.ImplicitVRLittleEndian, **header, RescaleSlope=2),
        "big-endian": dicom(word.astype(">u2"), 12, uids.ExplicitVRBigEndian, **header),
        "deflated": dicom(word, 12, uids.DeflatedExplicitVRLittleEndian, **header),
        "rgb": dicom(colour, 8, **header),
        "palette": dicom(grey, 8, **header, PhotometricInterpretation="PALETTE COLOR"),
        "frames": compressed("jpeg", np.stack([grey, grey]), 8, **header),
    }
    films["groups"] = dicom(word, 12, **header, SharedFunctionalGroupsSequence=Sequence([_groups(curve)]))
    for name in ("Red", "Green", "Blue"):
        setattr(films["palette"], f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        films["palette"][f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(films["palette"], f"{name}PaletteColorLookupTableData", bytes(range(256)))
    for kind in COMPRESSED:
        bits = 8 if kind == "jpeg" else 12
        films[kind] = compressed(kind, picture(bits=bits), bits, **header)
    paths = [save(film, folder / f"dicom-{kind}.dcm") for kind, film in films.items()]
    for name, pixels, options in (
        ("png-grey.png", grey, {}),
        ("png-word.png", word, {}),
        ("png-rgb.png", colour, {}),
        ("bmp.bmp", grey, {}),
        ("jpeg-grey.jpg", grey, {}),
        ("jpeg-rgb.jpg", colour, {"progressive": True}),
        ("tiff.tif", word, {}),
        ("tiff-lzw.tif", colour, {"compression": "tiff_lzw"}),
        ("tiff-deflate.tif", grey, {"compression": "tiff_adobe_deflate"}),
    ):
        Image.fromarray(pixels).save(folder / name, **options)
        paths.append(folder / name)
    return paths + _write_volumes(folder, word)


def _groups(curve: Dataset) -> Dataset:
    """Return the functional groups of an enhanced image."""
    result = Dataset()
    for macro, elements in (
        ("PixelMeasuresSequence", {"PixelSpacing": ["0.1", "0.1"]}),
        ("PixelValueTransformationSequence", {"RescaleSlope": "2", "RescaleIntercept": "-5"}),
        ("FrameVOILUTSequence", {"VOILUTSequence": Sequence([curve])}),
    ):
        item = Dataset()
        for name, value in elements.items():
            setattr(item, name, value)
        setattr(result, macro, Sequence([item]))
    return result


def _write_volumes(folder: Path, word: np.ndarray) -> list[Path]:
    import itk
    import nibabel

    paths = [folder / name for name in ("nifti.nii", "nifti-gz.nii.gz", "meta.mha", "meta-zlib.mha")]
    for path in paths[:2]:
        nibabel.save(nibabel.Nifti1Image(word.T.astype(np.int16), np.diag([-0.1, -0.1, 1, 1])), path)
    for path in paths[2:]:
        itk.imwrite(itk.image_from_array(word), str(path), compression="zlib" in path.name)
    return paths


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a copy with one to eight changes, half of them in the first part, where the header is."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if len(changed) < 16:
            break
        at = rng.randrange(len(changed) if rng.random() < 0.5 else min(len(changed), 1000))
        _damage(changed, at, rng)
    return bytes(changed)


def _damage(data: bytearray, at: int, rng: random.Random) -> None:
    kind, size = rng.randrange(8), rng.choice((1, 2, 4, 8, 32, 200))
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + size] = rng.randbytes(size)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        del data[at : at + size]
    elif kind == 4:
        data[at:at] = rng.randbytes(size)
    elif kind == 5:
        data[at:at] = data[at : at + size]
    elif kind == 6:
        other = rng.randrange(len(data) - 8)
        data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
    else:
        width = rng.choice((1, 2, 4))
        number = rng.choice(_ODD_NUMBERS) & (1 << 8 * width) - 1
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))


def damaged_file(samples: list[Path], seed: int, number: int) -> tuple[str, str, bytes]:
    """Return kind, suffix and content of one damaged file."""
    sample = samples[number % len(samples)]
    kind, _, suffix = sample.name.partition(".")
    return kind, suffix, damaged(sample.read_bytes(), random.Random(f"{seed} {number}"))


def fuzz(
    count: int, seed: int = 0, first: int = 0, seconds: float = 60
) -> tuple[dict[str, Counter[str]], list[Finding]]:
    """Read `count` damaged files and return how often each outcome came up per kind, and the findings."""
    outcomes: dict[str, Counter[str]] = {}
    findings = []
    with tempfile.TemporaryDirectory() as name:
        samples = sorted(write_samples(Path(name)))
        for number, outcome in _outcomes(Path(name), first, first + count, seed, seconds):
            kind = samples[number % len(samples)].name.partition(".")[0]
            outcomes.setdefault(kind, Counter())[outcome] += 1
            if outcome not in (_READ, _REFUSED):
                findings.append(Finding(number, kind, outcome))
    return outcomes, findings


def _outcomes(folder: Path, number: int, stop: int, seed: int, seconds: float) -> Iterator[tuple[int, str]]:
    """Run children until all files are done: a child that dies or hangs is replaced by the next."""
    while number < stop:
        arguments = [sys.executable, __file__, "--child", str(folder), "--first", str(number)]
        arguments += ["--count", str(stop - number), "--seed", str(seed)]
        # unbuffered, so that no line waits here while select waits for the next
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as child:
            assert child.stdout is not None
            with selectors.DefaultSelector() as ready:
                ready.register(child.stdout, selectors.EVENT_READ)
                while number < stop:
                    if not ready.select(seconds):
                        child.kill()
                        yield number, "hang"
                        number += 1
                        break
                    line = child.stdout.readline().decode().strip()
                    if not line:
                        code = child.wait()
                        yield number, signal.Signals(-code).name if code < 0 else f"exit code {code}"
                        number += 1
                        break
                    yield number, line
                    number += 1


def _child(folder: Path, first: int, count: int, seed: int) -> None:
    """Read damaged files and print one outcome per line."""
    from monai_ceph.errors import ReadError
    from monai_ceph.readers import read_radiograph

    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # ITK prints the warnings of libjpeg
    samples = sorted(folder.iterdir())
    for sample in samples:  # imports all decoders before the memory is limited
        read_radiograph(sample, frame=1)
    _limit_memory()
    with tempfile.TemporaryDirectory() as name:
        for number in range(first, first + count):
            _, suffix, content = damaged_file(samples, seed, number)
            path = Path(name, f"film.{suffix}")
            path.write_bytes(content)
            try:
                film = read_radiograph(path, frame=1)
                outcome = _READ if np.isfinite(film.pixels).all() else "pixels that are not finite"
            except ReadError as error:
                sentence = str(error).removeprefix(f"{path}: ")
                outcome = _REFUSED if re.fullmatch(r"[^\n]{5,300}\.", sentence) else f"message {sentence!r}"
            except Exception as error:
                outcome = type(error).__name__
            print(outcome, file=report, flush=True)


def _limit_memory() -> None:
    import resource

    status = Path("/proc/self/status").read_text()
    used = int(re.findall(r"VmSize:\s+(\d+) kB", status)[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="limit per file")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args.child, args.first, args.count, args.seed)
        return
    outcomes, findings = fuzz(args.count, args.seed, args.first, args.seconds)
    print("| kind | files | read | refused | findings |\n|---|---|---|---|---|")
    for kind, counts in sorted(outcomes.items()):
        rest = {name: n for name, n in counts.items() if name not in (_READ, _REFUSED)}
        found = ", ".join(f"{n} {name}" for name, n in rest.items()) or "none"
        print(f"| {kind} | {counts.total()} | {counts[_READ]} | {counts[_REFUSED]} | {found} |")
    for finding in findings:
        print(f"{finding.outcome}: {finding.kind}, --seed {args.seed} --first {finding.number} --count 1")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
