"""Another task: seven landmarks that are not in the vocabulary, by the same configs, without a change of code."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_runs import TINY, TINY_STAGE, TINY_WHOLE, command, error_line, execute_all
from samples import as_aariz

from monai_ceph import CephalogramDetector, weights
from monai_ceph.datasets import open_dataset
from monai_ceph.datasets.aariz import AARIZ_SYMBOLS
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS

OWN = tuple(f"own-{number}" for number in range(1, 8))
# what they are on a phantom
PLACES = ("Me", "S", "N", "Go", "PNS", "A", "Ar")
FLAG = str(list(OWN))
OF_TRANSFER = Path("runs", "transfer", "final.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a dataset of four films."""
    folder = tmp_path_factory.mktemp("own landmarks")
    films = folder / "films"
    write_phantoms(films, 4, seed=7, file_format="png", height=300, width=242)
    with (films / "landmarks.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["symbol"] in PLACES]
    lines = ["file,symbol,x,y,pixel_spacing"]
    for row in rows:
        symbol = OWN[PLACES.index(row["symbol"])]
        lines.append(f"{row['film']},{symbol},{row['x']},{row['y']},{row['pixel_spacing']}")
    (films / "landmarks.csv").write_text("\n".join(lines) + "\n")
    return folder


def body_of_the_shipped_network(folder: Path) -> Path:
    """Do what the page says."""
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "own-landmarks.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(code.replace('"body.pt"', repr(str(folder / "body.pt"))), {})
    return folder / "body.pt"


@pytest.fixture(scope="module")
def logs(folder: Path) -> dict[str, str]:
    films, set_of_run = folder / "films", folder / "runs" / "global" / "landmarks.json"
    of_the_19 = folder / "of the 19"
    write_phantoms(of_the_19, 4, seed=7, file_format="png", height=300, width=242)
    tiny = {stage: {**TINY, **TINY_STAGE[stage], "phantoms": 0, "max_epochs": 1} for stage in ("global", "local")}
    own: dict[str, Any] = {"dataset_dir": films, "landmarks": FLAG}
    trained = {f"{stage}_weights": folder / "runs" / stage / "final.pt" for stage in ("global", "local")}
    whole = {**TINY_WHOLE, **trained, "context_weights": "$None", "dataset_dir": films}
    return execute_all(
        {
            "global": command("training", "local", "global", **tiny["global"], **own),
            "local": command("training", "local", **tiny["local"], **own),
            "evaluate": command("evaluating", "inference", "evaluate", "paper", set_of_run, **whole),
            "inference": command("inferring", "inference", "paper", set_of_run, **whole),
            # with the pose, whose mean shape is that of the training films
            "posed": command("inferring", "inference", set_of_run, **whole, output_dir="runs/posed"),
            # a published layout, with all 29 landmarks of it
            "aariz": command(
                "training",
                "local",
                "global",
                **tiny["global"],
                dataset_dir=as_aariz(of_the_19, folder / "Aariz", "train", whole=True),
                landmarks=str(list(AARIZ_SYMBOLS)),
                ground_truth="senior",
                output_dir="runs/aariz",
            ),
            "not named": command("training", "local", "global", **tiny["global"], dataset_dir=films, output_dir="none"),
            "phantoms": command("training", "local", "global", **tiny["global"], landmarks=FLAG, output_dir="none"),
            # the networks' own size, for the weights of the shipped one
            "transfer": command(
                "training",
                "local",
                **{key: value for key, value in tiny["local"].items() if key != "channels"},
                **own,
                initial_weights=body_of_the_shipped_network(folder),
                output_dir="runs/transfer",
                initial_weights_strict=False,
            ),
            "no weights": command("inferring", "inference", dataset_dir=films, landmarks=FLAG, output_dir="none"),
        },
        folder,
    )


@pytest.mark.parametrize("run", ["global", "local", "evaluate", "inference", "posed", "transfer", "aariz"])
def test_every_run_ends_well(logs: dict[str, str], run: str) -> None:
    assert "Traceback" not in logs[run], logs[run]
    assert not re.search(r"\b(ERROR|CRITICAL)\b", logs[run]), logs[run]


@pytest.mark.parametrize("stage", ["global", "local"])
def test_the_networks_have_a_channel_per_landmark_and_the_background(
    logs: dict[str, str], folder: Path, stage: str
) -> None:
    *_, last = torch.load(folder / "runs" / stage / "final.pt", weights_only=True).values()
    assert last.shape[0] == len(OWN) + 1


@pytest.mark.parametrize("stage", ["global", "local"])
def test_a_run_says_which_landmarks_it_trained(logs: dict[str, str], folder: Path, stage: str) -> None:
    overlay = json.loads((folder / "runs" / stage / "landmarks.json").read_text())
    assert tuple(overlay["landmarks"]) == OWN
    assert np.shape(overlay["mean_shape"]) == (len(OWN), 2)


def test_evaluating_gives_the_error_of_these_landmarks(logs: dict[str, str], folder: Path) -> None:
    (printed,) = re.findall(r"Metrics -- (.*)", logs["evaluate"])
    assert np.isfinite(float(dict(re.findall(r"(\w+): (\S+)", printed))["mre_mm"]))
    header = (folder / "runs" / "evaluate" / "mre_mm_raw.csv").read_text().splitlines()[0]
    assert len(re.split(r"[\t,]", header)) == 1 + len(OWN) + 1


@pytest.mark.parametrize("run", ["inference", "posed"])
def test_inferring_writes_these_landmarks(logs: dict[str, str], folder: Path, run: str) -> None:
    tables = sorted((folder / "runs" / run).glob("*.landmarks.csv"))
    assert len(tables) == 4
    for table in tables:
        with table.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert tuple(row["symbol"] for row in rows) == OWN
        assert tuple(row["landmark"] for row in rows) == OWN
        assert any(row["x"] for row in rows)


def test_the_shipped_weights_but_for_the_last_layer(logs: dict[str, str], folder: Path) -> None:
    assert f"Restored all variables from {folder / 'body.pt'}" in logs["transfer"]
    shipped, own = (torch.load(file, weights_only=True) for file in (weights.path("local"), folder / OF_TRANSFER))
    (first, *_), (*_, last) = shipped, shipped
    # three steps with a learning rate that rises from nothing move it a little
    assert torch.allclose(own[first], shipped[first].float(), atol=0.02)
    assert len(own[last]) == len(OWN) + 1 != len(shipped[last])


def test_landmarks_that_no_config_names(logs: dict[str, str]) -> None:
    line = error_line(logs["not named"])
    assert "landmarks.csv, line 2: no landmark has the symbol 'own-" in line
    assert "config key landmarks" in line


def test_phantoms_of_landmarks_that_they_do_not_have(logs: dict[str, str]) -> None:
    assert "phantoms have no landmark own-1 own-2" in error_line(logs["phantoms"])


def test_the_shipped_weights_are_for_other_landmarks(logs: dict[str, str]) -> None:
    assert "for these 7 landmarks" in error_line(logs["no weights"])


def test_detect_knows_the_vocabulary_only(logs: dict[str, str], folder: Path) -> None:
    with pytest.raises(CephError, match=r"inference\.json"):
        CephalogramDetector("cpu", overlays=[folder / "runs" / "global" / "landmarks.json"])


def test_a_part_of_the_vocabulary_in_another_order(phantoms: Path) -> None:
    part = ("N", "S", "Me")
    whole, chosen = open_dataset(phantoms), open_dataset(phantoms, symbols=part)
    for every, few in zip(whole, chosen, strict=True):
        assert np.array_equal(few.landmarks, every.landmarks[[SYMBOLS.index(symbol) for symbol in part]])
        assert few.pixel_spacing == every.pixel_spacing


def test_all_of_aariz_was_trained(logs: dict[str, str], folder: Path) -> None:
    assert "no training film has" not in logs["aariz"]
    of_run = json.loads((folder / "runs" / "aariz" / "landmarks.json").read_text())
    assert of_run["landmarks"] == list(AARIZ_SYMBOLS)
    *_, last = torch.load(folder / "runs" / "aariz" / "final.pt", weights_only=True).values()
    # the background is a channel, too
    assert len(last) == len(AARIZ_SYMBOLS) + 1
