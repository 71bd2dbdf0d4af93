"""The bits of a sample that are its value (PS3.5 section 8.1.1), whatever the transfer syntax.

Old files keep overlays in the bits that BitsStored and HighBit leave free, and encoders that were told to compress
whole words put those bits into the codestream as well.
"""

from __future__ import annotations

import numpy as np

__all__ = ["stored_values"]


def stored_values(
    samples: np.ndarray, precision: int, bits_stored: int, high_bit: int, signed: bool, lossy: bool = False
) -> np.ndarray:
    """Return the values of samples: the bits up to HighBit, with their sign, shifted to the lower end.

    A codestream that declares fewer bits than BitsStored holds all bits of its values, at the lower end. Such values
    are negative only if the codestream itself is signed, and with `signed`.

    Args:
        samples: integers as they were decoded, of any shape; signed if the codestream says that it is.
        precision: the bits that a sample has in the pixel data: what the codestream declares, otherwise BitsAllocated.
        bits_stored: BitsStored.
        high_bit: HighBit; one that does not fit the others counts as BitsStored - 1.
        signed: PixelRepresentation is 1.
        lossy: the codec changes values. Where nothing but such changes leaves the range of `bits_stored`, by less than
            a quarter, values are clipped to it: without their upper bits white would become black.

    Returns:
        Integers of the shape of `samples`, signed if `signed` is.
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
