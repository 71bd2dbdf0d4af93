"""Mends some of MONAI Label's endpoints: uploads that stay, models that do not exist, a page that loads scripts.

Its endpoints call module-level functions, which are replaced here. They run one after the other, in the event loop.
"""

from __future__ import annotations

import shutil
import tempfile
import types
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.endpoints import batch_infer, datastore, infer, logs, scoring, session, train
from monailabel.interfaces.utils.app import app_instance

__all__ = ["mend_endpoints"]

# the log as plain text in a frame: MONAI Label's page loads scripts from other sites
_LOG_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>MONAI Label: log</title></head>
<body style="margin: 0">
<iframe src="?text=true&amp;lines=LINES_T" title="log" style="width: 100%; height: 98vh; border: 0"></iframe>
</body>
</html>
"""


def mend_endpoints() -> None:
    """Replace the functions. Call it once, after MONAI Label's application was imported."""
    for module, names in (
        (datastore, ("add_image", "save_label")),
        (infer, ("run_inference",)),
        (session, ("create_session",)),
    ):
        for name in names:
            setattr(module, name, _without_leftovers(module, getattr(module, name)))
    train.run_model = _only_known("trainers", "model", train.run_model)
    batch_infer.run = _only_known("models", "model", batch_infer.run)
    scoring.run_method = _only_known("scoring", "method", scoring.run_method)
    logs.HTML_TEMPLATE = _LOG_PAGE


def _without_leftovers(module: types.ModuleType, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that removes what was uploaded if the request is refused: only answers do that."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        made: list[Path] = []

        def named(*given: Any, **others: Any) -> Any:
            file = tempfile.NamedTemporaryFile(*given, **others)  # noqa: SIM115 (the caller takes its name only)
            made.append(Path(file.name))
            return file

        module.tempfile = types.SimpleNamespace(NamedTemporaryFile=named)  # type: ignore[attr-defined]
        try:
            return function(*args, **options)
        except BaseException:
            for path in made:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            raise
        finally:
            module.tempfile = tempfile  # type: ignore[attr-defined]

    return call


def _only_known(kind: str, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that answers 404 for a name that the app does not have: MONAI Label would start a task for it.

    Args:
        kind: of the names, in the app's description.
        what: parameter of the function.
        function: takes the name as its first argument.
    """

    @wraps(function)
    def call(name: str, *args: Any, **options: Any) -> Any:
        known = sorted(app_instance().info().get(kind, {}))
        if name not in known:
            raise HTTPException(404, f"there is no {what} {name!r}; there are {', '.join(known) or 'none'}")
        return function(name, *args, **options)

    return call
