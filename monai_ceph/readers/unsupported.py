"""Recognise files that may hold a film but cannot be read: archives, documents, images of other formats.

They are recognised by their first bytes, not by their names. Without a message, films in a ZIP archive would be missed
silently.
"""

from __future__ import annotations

__all__ = ["HEAD_BYTES", "misnamed_image", "unsupported_kind"]

HEAD_BYTES = 512
"""Number of bytes at the start of a file that are enough to recognise it; the mark of a tar archive is at byte 257."""

_UNPACK = "unpack it first"
_EXPORT = "save it as PNG or TIFF"
_ARCHIVES = {
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
}
_IMAGES = {
    b"%PDF-": "a PDF document",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"8BPS": "a Photoshop image",
    b"NRRD0": "an NRRD image",
    b"\xff\x0a": "a JPEG XL image",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "a JPEG XL image",
}
# brands of ISO base media files (ISO 14496-12) that are still images
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc", b"hevx"), "a HEIC image"),
}
_READABLE = {
    b"\x89PNG\r\n\x1a\n": ("a PNG image", ".png"),
    b"\xff\xd8\xff": ("a JPEG image", ".jpg"),
    b"II*\x00": ("a TIFF image", ".tif"),
    b"MM\x00*": ("a TIFF image", ".tif"),
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": ("a JPEG 2000 image", ".jp2"),
    b"\xff\x4f\xff\x51": ("a JPEG 2000 image", ".j2k"),
}
# suffixes of documents, programs and arrays that are ZIP archives inside, but hold no films
_ZIP_INSIDE = (
    *(".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk", ".whl", ".egg"),
    *(".npz", ".pt", ".pth", ".ckpt", ".keras", ".mlpackage"),
)
# suffixes of camera and microscope files that start like TIFF
_TIFF_INSIDE = (".dng", ".cr2", ".nef", ".arw", ".orf", ".pef", ".svs", ".ndpi")


def unsupported_kind(head: bytes, name: str) -> str | None:
    """Return what a file is and what to do about it, such as "a ZIP archive; unpack it first".

    None if it is not an archive, a document or an image of an unsupported format.

    Args:
        head: the first :data:`HEAD_BYTES` bytes of the file.
        name: its name; by their suffix, some ZIP archives are known to hold no films.
    """
    suffix_of_zip = name.lower().endswith(_ZIP_INSIDE)
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic) and not (suffix_of_zip and magic.startswith(b"PK")):
            return f"{kind}; {_UNPACK}"
    if head[257:262] == b"ustar":
        return f"a tar archive; {_UNPACK}"
    for magic, kind in _IMAGES.items():
        if head.startswith(magic):
            return f"{kind}; {_EXPORT}"
    if head[4:8] == b"ftyp" and (brand := _BRANDS.get(head[8:12])):
        return f"{brand}; {_EXPORT}"
    return None


def misnamed_image(head: bytes, name: str) -> str | None:
    """Return what to rename a file to that could then be read, such as "a PNG image; give it the suffix .png".

    None for all other files.

    Args:
        head: the first :data:`HEAD_BYTES` bytes of the file.
        name: its name; camera files that start like TIFF are known by their suffix.
    """
    if name.lower().endswith(_TIFF_INSIDE):
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image; give it the suffix .webp"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[10:14] != bytes(4):
        return "a BMP image; give it the suffix .bmp"
    for magic, (kind, suffix) in _READABLE.items():
        if head.startswith(magic):
            return f"{kind}; give it the suffix {suffix}"
    return None
