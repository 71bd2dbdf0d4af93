"""Small valid files of every kind that the readers know, for the fuzzer and the tests.

Pixels are a smooth picture with some noise, like a film, so that lossy codecs change them little. GDCM, Pillow and
pydicom compress them.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from jpeg_extended import encode_jpeg12
from PIL import Image
from pydicom import uid as uids
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

DX = "1.2.840.10008.5.1.4.1.1.1.1"
UID = "1.2.826.0.1.3680043.8.498.1"

COMPRESSED = {
    "rle": uids.RLELossless,
    "jpeg": uids.JPEGBaseline8Bit,
    "jpeg-extended": uids.JPEGExtended12Bit,
    "jpeg-lossless": uids.JPEGLossless,
    "jpeg-lossless-sv1": uids.JPEGLosslessSV1,
    "jpeg-ls": uids.JPEGLSLossless,
    "jpeg-ls-near": uids.JPEGLSNearLossless,
    "jpeg-2000": uids.JPEG2000Lossless,
    "jpeg-2000-lossy": uids.JPEG2000,
}
"""Names and UIDs of the compressed transfer syntaxes that are read."""


def picture(rows: int = 64, columns: int = 80, bits: int = 12, seed: int = 0, samples: int = 1) -> np.ndarray:
    """Return (row, column[, sample]) unsigned integers that use `bits` bits."""
    y, x = np.mgrid[:rows, :columns]
    waves = [np.sin(x / (9 + 2 * each)) * np.cos(y / (7 + each)) for each in range(samples)]
    noise = np.random.default_rng(seed).normal(0, 0.01, (rows, columns, samples))
    values = np.clip((0.5 + 0.4 * np.dstack(waves) + noise) * 2**bits, 0, 2**bits - 1)
    return values.astype(np.uint8 if bits <= 8 else np.uint16)[..., 0 if samples == 1 else slice(None)]


def dicom(stored: np.ndarray, bits: int, syntax: str = uids.ExplicitVRLittleEndian, **elements: Any) -> pydicom.Dataset:
    """Return a DX with (row, column) or (row, column, 3) pixels; an element given as None is removed."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uids.UID(syntax)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = DX, UID, "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    colour = stored.ndim == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        if value is None:
            dataset.pop(name, None)
        else:
            setattr(dataset, name, value)
    return dataset


def compressed(kind: str, stored: np.ndarray, bits: int, **elements: Any) -> pydicom.Dataset:
    """Return a DX with compressed pixels; `stored` may have one more axis in front, for frames."""
    frames = list(stored) if stored.ndim - (stored.shape[-1] == 3) == 3 else [stored]
    dataset = dicom(frames[0], bits, COMPRESSED[kind], **elements)
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    return with_fragments(dataset, [encode(kind, frame, bits) for frame in frames])


def with_fragments(dataset: pydicom.Dataset, frames: list[bytes], **options: Any) -> pydicom.Dataset:
    """Give a dataset compressed frames, one fragment each unless the options of `encapsulate` say otherwise."""
    dataset.PixelData = encapsulate(frames, **options)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def save(dataset: pydicom.Dataset, path: Path) -> Path:
    """Write a DICOM file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def encode(kind: str, frame: np.ndarray, bits: int) -> bytes:
    """Compress one frame: "jpeg" with quality 95, "jpeg-ls-near" within 2, "jpeg-2000-lossy" to a fourth."""
    if kind == "jpeg":
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=95, subsampling=0)
        return buffer.getvalue()
    if kind == "jpeg-extended":
        return encode_jpeg12(frame)
    if kind == "rle":
        dataset = dicom(frame, bits)
        dataset.compress(uids.RLELossless, encoding_plugin="pydicom")
        return next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    return _encode_with_gdcm(kind, frame, bits)


def _encode_with_gdcm(kind: str, frame: np.ndarray, bits: int) -> bytes:
    # an image that was created here is freed twice if it was the input of a filter
    writer = gdcm.ImageWriter()
    image = writer.GetImage()
    colour = gdcm.PhotometricInterpretation.RGB if frame.ndim == 3 else gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.shape[1], frame.shape[0], 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(colour))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    samples, allocated = 3 if frame.ndim == 3 else 1, frame.dtype.itemsize * 8
    image.SetPixelFormat(gdcm.PixelFormat(samples, allocated, bits, bits - 1, int(frame.dtype.kind == "i")))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(frame.tobytes())
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(COMPRESSED[kind]))))
    codec: Any = None
    if kind == "jpeg-ls-near":
        codec = gdcm.JPEGLSCodec()
        codec.SetLossless(False)
        codec.SetLossyError(2)
    elif kind == "jpeg-2000-lossy":
        codec = gdcm.JPEG2000Codec()
        codec.SetReversible(False)
        codec.SetRate(0, 4)
    if codec is not None:
        change.SetUserCodec(codec)
    change.SetInput(image)
    if not change.Change():
        raise RuntimeError(f"GDCM cannot compress {frame.dtype} with {bits} bits as {kind}")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    return b"".join(
        fragments.GetFragment(index).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
        for index in range(fragments.GetNumberOfFragments())
    )
