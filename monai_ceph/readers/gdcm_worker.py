"""Decode one compressed frame with GDCM: a program that `gdcm_decoder` runs, never imported.

It reads the frame from standard input and its description as JSON from the first argument, and writes the samples to
standard output: colours interleaved, 8 or 16 bits each in native byte order. GDCM crashes on some damaged frames
(benchmarks/gdcm_crashes.py), which is why it runs in a separate process.
"""

import json
import sys


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def main() -> None:
    """Read the frame, decode it, write the samples."""
    frame = json.loads(sys.argv[1])
    sys.path.append(frame["folder"])
    import gdcm  # type: ignore[import-untyped]

    _limit(frame["memory"], frame["seconds"])
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(sys.stdin.buffer.read())
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    photometric = gdcm.PhotometricInterpretation.GetPIType(frame["photometric"])
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame["columns"], frame["rows"], 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(photometric))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(frame["syntax"])))
    bits = frame["bits"]
    image.SetPixelFormat(gdcm.PixelFormat(frame["samples"], 8 if bits <= 8 else 16, bits, bits - 1, 0))
    image.SetDataElement(element)
    # GDCM's Python wrapper returns bytes as text, and None for a failure
    samples = image.GetBuffer()
    if samples is None:
        sys.exit(1)
    sys.stdout.buffer.write(samples.encode("utf-8", "surrogateescape"))


main()
