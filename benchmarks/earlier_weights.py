"""Takes weights of an earlier version out of the history, to measure them again.

``python benchmarks/earlier_weights.py COMMIT OUT`` writes the networks and the error model of that commit to OUT, and
``OUT/weights.json``, an overlay for ``--config`` of the other benchmarks and of ``monai-ceph evaluate``. The recipe is
today's, but for the passes of the local network (``shifts``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from monai_ceph.storage.atomic import written_beside
from monai_ceph.weights import STAGES

ROOT = Path(__file__).resolve().parents[1]


def of_commit(commit: str, path: str) -> bytes:
    """Return a file as it was."""
    command = ["git", "-C", str(ROOT), "show", f"{commit}:{path}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="with global.pt, local.pt, context.pt, errors.json and model.json")
    parser.add_argument("out", type=Path, help="folder for them")
    options = parser.parse_args()
    out = options.out.resolve()
    try:
        model = json.loads(of_commit(options.commit, "monai_ceph/weights/model.json"))
        recipe = json.loads(of_commit(options.commit, "bundles/inference.json"))
        names = (*(f"{stage}.pt" for stage in STAGES), "errors.json")
        files = {name: of_commit(options.commit, f"monai_ceph/weights/{name}") for name in names}
    except subprocess.CalledProcessError as error:
        parser.exit(2, f"{options.commit}: {error.stderr.decode(errors='replace').strip()}\n")
    overlay = {
        **{f"{stage}_weights": str(out / f"{stage}.pt") for stage in STAGES},
        "error_model": f"$weights.read_error_model({str(out / 'errors.json')!r})",
        "mean_shape": model["mean_shape"],
        "shifts": recipe["shifts"],
    }
    files["weights.json"] = (json.dumps(overlay, indent=2) + "\n").encode()
    for name, content in files.items():
        with written_beside(out / name) as part:
            part.write_bytes(content)
    print(f"{out / 'weights.json'}: {model['name']} {model['version']}")


if __name__ == "__main__":
    main()
