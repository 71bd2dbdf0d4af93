"""The list of modalities is that of the standard."""

from __future__ import annotations

from pydicom.sr.codedict import codes

from monai_ceph.readers.dicom_file import _OTHER_MODALITIES, MODALITIES

# PS3.3 C.7.3.1.1.1, retired defined terms
RETIRED = {
    *("AS", "CD", "CF", "CP", "CS", "DD", "DF", "DM", "DS", "EC", "FA", "FS"),
    *("LP", "MA", "MS", "OPR", "ST", "VF"),
}
# current defined terms of PS3.3 that context group 33 of PS3.16 does not have
NOT_IN_CONTEXT_GROUP = {"ANN", "RTINTENT", "RTRAD", "RTSEGANN", "XAPROTOCOL"}


def test_every_modality_of_the_standard_is_known_once() -> None:
    current = {code.value for code in codes.CID33.concepts.values()}
    assert {"CR", "DX", "PX", "SM"} <= current
    known = [modality for modality in (*MODALITIES, *_OTHER_MODALITIES) if modality]
    assert len(known) == len(set(known))
    assert set(known) == current | RETIRED | NOT_IN_CONTEXT_GROUP
