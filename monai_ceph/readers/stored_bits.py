"""Extract the stored value from the bits of a sample (PS3.5 section 8.1.1), in any transfer syntax.

Old files keep overlays in the bits that BitsStored and HighBit leave free, and encoders that compress whole words put
those bits into the codestream as well.
"""

from __future__ import annotations

import numpy as np

__all__ = ["stored_values"]


def stored_values(
    samples: np.ndarray, precision: int, bits_stored: int, high_bit: int, signed: bool, lossy: bool = False
) -> np.ndarray:
    """Return the values of samples: the BitsStored bits up to HighBit, shifted down and with their sign.

    A codestream that declares fewer bits than BitsStored has its values in the lowest bits. Those are negative only if
    the codestream itself is signed and `signed` is set.

    Args:
        samples: decoded integers of any shape; signed if the codestream is.
        precision: bits per sample in the pixel data, as the codestream declares; BitsAllocated without a codestream.
        bits_stored: BitsStored.
        high_bit: HighBit; if it contradicts the other two, BitsStored - 1 is used.
        signed: True if PixelRepresentation is 1.
        lossy: True if the codec changes values. Values that overshoot the range of `bits_stored` by less than a quarter
            are then clipped to it: dropping their upper bits would turn white into black.

    Returns:
        Integers of the shape of `samples`, signed if `signed` is set.
    """
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if signed and precision < bits_stored:
        return samples if samples.dtype.kind == "i" else samples.astype(np.promote_types(samples.dtype, np.int8))
    bits = min(bits_stored, precision)
    lowest = high_bit + 1 - bits_stored
    if not 0 < lowest <= precision - bits:
        lowest = 0
    container = 8 * samples.dtype.itemsize
    result = np.dtype(f"{'i' if signed else 'u'}{samples.dtype.itemsize}")
    if lossy and precision > bits:
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        values, margin = samples >> lowest, 2**bits // 4
        if low - margin <= int(values.min()) and int(values.max()) <= high + margin:
            return np.clip(values, max(low, np.iinfo(values.dtype).min), high).astype(result)
    above = container - lowest - bits
    words = samples.view(result)
    return (words << above) >> (above + lowest) if container > bits else words
