"""Text in CSV tables: names of files come from anybody, and a spreadsheet computes what begins like a formula."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["plain_cell", "safe_cell"]

# a name that begins with apostrophes itself gets one more, so that every name can be read again
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def safe_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet computes and no terminal obeys: text like a formula gets an apostrophe.

    Numbers stay as they are, also those that are text already. Control characters are escaped.
    """
    if not isinstance(value, str):
        return value
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def plain_cell(text: str) -> str:
    """Return the text of a cell that :func:`safe_cell` made."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
