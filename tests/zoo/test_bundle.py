"""The bundle that `monai-ceph bundle` writes passes the checks of the MONAI Model Zoo's CI."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bundle_runs import BUNDLES, execute_all
from monai.bundle import ConfigParser, ckpt_export, create_workflow, onnx_export, verify_metadata, verify_net_in_out
from monai.networks.nets import FlexibleUNet
from typer.testing import CliRunner

import monai_ceph
from monai_ceph import CephalogramDetector, weights
from monai_ceph.cli import app
from monai_ceph.errors import CephError
from monai_ceph.landmarks import NAMES
from monai_ceph.networks import HeatmapUNet
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows
from monai_ceph.zoo.bundle import NAME, write_bundle

SCHEMA = Path(__file__).with_name("metadata.schema.json")
MODEL_CARD = Path(__file__).parents[2] / "docs" / "explanation" / "model-card.md"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("the zoo")
    done = CliRunner().invoke(app, ["bundle", str(out), "--files-url", "https://example.org/files/"])
    assert done.exit_code == 0, done.output
    assert done.output.split("\n")[-2] == str(out / NAME)
    return out / NAME


def metadata_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "configs" / "metadata.json").read_text())


def files_of(bundle: Path) -> dict[str, str]:
    """Return the options with the config files for the command line of monai.bundle."""
    return {
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
    }


def assert_same_rows(rows: list[list[str]], expected: list[list[str]]) -> None:
    """Compare rows of a bundle's table with those of detect: a value with its rounding, anything else exactly."""
    rounding = {"score": 0.002} | {name: 0.02 for name in LANDMARK_COLUMNS if name in ("x", "y", "x_mm", "y_mm")}
    rounding |= {name: 0.05 for name in LANDMARK_COLUMNS if name.startswith("radius")}
    for ours, theirs in zip(rows, expected, strict=True):
        for column, here, there in list(zip(LANDMARK_COLUMNS, ours, theirs, strict=True))[1:]:
            if column in rounding and here and there:
                assert float(here) == pytest.approx(float(there), abs=rounding[column]), column
            else:
                assert here == there, column


class TestDirectory:
    def test_the_bundle_has_all_files_of_the_zoos_layout(self, bundle: Path) -> None:
        found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
        assert {
            *("LICENSE", "docs/README.md", "docs/data_license.txt", "models/model.pt", "models/model.ts"),
            "models/errors.json",
            *(
                path.relative_to(BUNDLES.parent).as_posix().replace("bundles", "configs")
                for path in BUNDLES.rglob("*.*")
                if path.name != "local.json"
            ),
            *("configs/train.json", "configs/overlays/inference_ts.json"),
            *(f"ci/unit_tests/test_{NAME}.py", f"ci/unit_tests/test_{NAME}_dist.py"),
        } <= found
        assert not [path for path in bundle.parent.iterdir() if path != bundle]

    def test_overlays_that_name_no_weights_and_no_network_are_those_of_the_package(self, bundle: Path) -> None:
        for path in (BUNDLES / "overlays").iterdir():
            if path.stem not in ("finetune", "context"):
                copy = bundle / "configs" / "overlays" / path.name
                expected = json.loads(path.read_text().replace("local.json", "train.json"))
                # that of inference.json depends on the weights
                expected.pop("fitted_limits", None)
                assert json.loads(copy.read_text()) == expected, path.name

    def test_the_training_is_that_of_the_package_but_for_the_networks(self, bundle: Path) -> None:
        ours, theirs = (
            json.loads(file.read_text()) for file in (bundle / "configs" / "train.json", BUNDLES / "local.json")
        )
        different = {key for key in ours if ours[key] != theirs.get(key)}
        networks = {f"{stage}_network_def" for stage in weights.STAGES}
        assert different == {"network_def", "stage_network", *networks}
        assert theirs.keys() <= ours.keys()

    def test_name(self, bundle: Path) -> None:
        assert re.fullmatch(r"[a-z]+_[a-z]+_[a-z_]+", bundle.name)

    def test_large_files_are_named_with_url_and_hash(self, bundle: Path) -> None:
        listed = {
            each["path"]: each for each in yaml.safe_load((bundle / "large_files.yml").read_text())["large_files"]
        }
        large = [path for path in bundle.rglob("*") if path.is_file() and path.stat().st_size > 25_000_000]
        assert set(listed) == {path.relative_to(bundle).as_posix() for path in large}
        for name, entry in listed.items():
            assert entry["url"] == f"https://example.org/files/{name}"
            assert entry["hash_type"] == "sha256"
            assert entry["hash_val"] == hashlib.sha256((bundle / name).read_bytes()).hexdigest()

    def test_the_readme_has_the_sections_of_the_template_and_no_blank(self, bundle: Path) -> None:
        text = (bundle / "docs" / "README.md").read_text()
        sections = re.findall(r"^#+ \**(.+?)\**$", text, flags=re.MULTILINE)
        expected = (
            *("Authors", "Tags", "Model Description", "Data", "Preprocessing", "Performance"),
            *("Additional Usage Steps", "System Configuration", "Limitations", "Citation Info", "References"),
        )
        assert [section for section in sections if section in expected] == list(expected)
        assert not re.search(r"\$(?! )", text)

    def test_files_named_in_the_readmes_commands_exist(self, bundle: Path) -> None:
        text = (bundle / "docs" / "README.md").read_text()
        assert all((bundle / name).is_file() for name in re.findall(r"configs/[\w/]+\.json", text))


class TestMetadata:
    def test_version_in_changelog(self, bundle: Path) -> None:
        metadata = metadata_of(bundle)
        assert metadata["version"] == monai_ceph.__version__
        assert metadata["version"] in metadata["changelog"]

    def test_the_package_is_required(self, bundle: Path) -> None:
        assert metadata_of(bundle)["required_packages_version"]["monai-ceph"] == monai_ceph.__version__

    def test_format(self, bundle: Path, tmp_path: Path) -> None:
        # what is there is not downloaded
        shutil.copy(SCHEMA, tmp_path / "schema.json")
        verify_metadata(meta_file=files_of(bundle)["meta_file"], filepath=str(tmp_path / "schema.json"))

    def test_figures_are_those_of_the_model_card(self, bundle: Path) -> None:
        figures = metadata_of(bundle)["eval_metrics"].values()
        found = r"^\| the recipe of these weights, trained on 318 films \| 75 training films .+? \| (.+) \|$"
        (row,) = re.findall(found, MODEL_CARD.read_text(), re.M)
        assert [float(number) for number in re.findall(r"\d+\.\d+", row)] == list(figures)


class TestNetwork:
    def test_data_shape(self, bundle: Path) -> None:
        verify_net_in_out(net_id="network_def", device="cpu", n=4, bundle_root=str(bundle), **files_of(bundle))

    def test_torchscript_of_all_stages(self, bundle: Path, tmp_path: Path) -> None:
        ckpt_export(
            net_id="network_def",
            filepath=str(tmp_path / "verify_model.ts"),
            ckpt_file=str(bundle / "models" / "model.pt"),
            bundle_root=str(bundle),
            **files_of(bundle),
        )
        detector = CephalogramDetector("cpu", overrides={"mixed_precision": False})
        film = torch.rand(1, 1, 50, 70)
        for file in (tmp_path / "verify_model.ts", bundle / "models" / "model.ts"):
            exported = torch.jit.load(file)
            with torch.no_grad():
                pairs = {
                    "local": (exported(film), detector.network(film)),
                    "global": (exported.global_network(film), detector.inferer.global_network(film)),
                }
                if detector.inferer.context_network is not None:
                    pairs["context"] = (exported.context_network(film), detector.inferer.context_network(film))
            for ours, expected in pairs.values():
                assert torch.allclose(ours, expected, atol=1e-4)

    @pytest.mark.skipif(
        not (find_spec("onnx") and find_spec("onnxscript")), reason="the extra onnx is not installed (make optional)"
    )
    def test_onnx(self, bundle: Path, tmp_path: Path) -> None:
        onnx_export(
            net_id="network_def",
            filepath=str(tmp_path / "model.onnx"),
            ckpt_file=str(bundle / "models" / "model.pt"),
            bundle_root=str(bundle),
            **files_of(bundle),
        )
        assert (tmp_path / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("inference", ["inference"]),
        ("inference", ["inference", "overlays/evaluate"]),
        ("train", ["train"]),
        ("train", ["train", "overlays/global"]),
    ],
    ids=["inference", "evaluate", "local", "global"],
)
def test_properties(bundle: Path, tmp_path: Path, phantoms: Path, kind: str, names: list[str]) -> None:
    workflow = create_workflow(
        workflow_type=kind,
        bundle_root=str(bundle),
        config_file=[str(bundle / "configs" / f"{name}.json") for name in names],
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        **{"dataset_dir": str(phantoms), "output_dir": str(tmp_path), "folds": 2},
    )
    assert not workflow.check_properties()


def test_fine_tuning_keeps_the_pose_of_the_model(bundle: Path) -> None:
    overlay = json.loads((bundle / "configs" / "overlays" / "finetune.json").read_text())
    inference = json.loads((bundle / "configs" / "inference.json").read_text())
    assert overlay["mean_shape"] == inference["mean_shape"] == weights.mean_shape()


def test_an_overlay_without_the_context_network(bundle: Path) -> None:
    config = ConfigParser()
    config.read_config([str(bundle / "configs" / f"{name}.json") for name in ("inference", "overlays/paper")])
    config["bundle_root"] = str(bundle)
    assert config.get_parsed_content("context_network") is None
    assert config.get_parsed_content("inferer").context_network is None


class TestRuns:
    """Runs in the folder of the bundle, with only the package installed."""

    @pytest.fixture(scope="class")
    def logs(self, bundle: Path, film: Path) -> dict[str, str]:
        def run(what: str, *names: str, **options: Any) -> list[str]:
            flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
            files = str([f"configs/{name}.json" for name in names])
            return ["run", what, "--config_file", files, "--device", "$torch.device('cpu')", *flags]

        short = {"phantoms": 2, "folds": 2, "max_epochs": 1, "patches_per_film": 2, "patches_per_load": 2}
        short |= {"batch_size": 2, "resume": False}
        return execute_all(
            {
                "inferring": run("inferring", "inference", dataset_dir=film),
                "torchscript": run(
                    "inferring", "inference", "overlays/inference_ts", dataset_dir=film, output_dir="runs/ts"
                ),
                "training": run("training", *("train", "overlays/accurate", "overlays/finetune"), **short),
                "training of the context network": run(
                    "training",
                    *("train", "overlays/accurate", "overlays/context"),
                    **short,
                    initial_weights="models/model.pt",
                    output_dir="runs/context",
                ),
                "evaluating": run(
                    *("evaluating", "inference", "overlays/evaluate"),
                    **{"phantoms": 1, "shifts": "[0]", "local_weights": "runs/local/final.pt"},
                ),
            },
            bundle,
        )

    @pytest.mark.parametrize(
        "run", ["inferring", "torchscript", "training", "training of the context network", "evaluating"]
    )
    def test_no_error_line(self, logs: dict[str, str], run: str) -> None:
        assert "Traceback" not in logs[run], logs[run]
        assert not re.search(r"\b(ERROR|CRITICAL)\b", logs[run]), logs[run]

    @pytest.mark.parametrize(
        ("run", "overrides"), [("inference", {}), ("ts", {"mixed_precision": False})], ids=["inferring", "torchscript"]
    )
    def test_the_bundle_finds_the_same_landmarks_as_detect(
        self, logs: dict[str, str], bundle: Path, film: Path, run: str, overrides: dict[str, bool]
    ) -> None:
        """TorchScript computes in single precision."""
        with (bundle / "runs" / run / f"{film.name}.landmarks.csv").open(newline="") as stream:
            header, *rows = csv.reader(stream)
        assert tuple(header) == LANDMARK_COLUMNS
        detection = CephalogramDetector("cpu", overrides=overrides)(film)
        assert_same_rows(rows, list(landmark_rows(detection)))

    @pytest.mark.parametrize(("run", "stage"), [("training", "local"), ("training of the context network", "context")])
    def test_training_starts_from_the_model_and_its_weights_replace_the_stage(
        self, logs: dict[str, str], bundle: Path, run: str, stage: str
    ) -> None:
        assert re.search(r"Restored all variables from (\./)?models/model\.pt", logs[run])
        before = torch.load(bundle / "models" / "model.pt", weights_only=True)
        after = torch.load(bundle / "runs" / stage / "final.pt", weights_only=True)
        own = f"{stage}_network."
        assert {key for key in before if key.startswith(own)} == {f"{own}{key}" for key in after}
        moved = [(before[f"{own}{key}"].float() - value.float()).abs().max() for key, value in after.items()]
        assert 0 < max(moved) < 100
        assert "Restored all variables from ./models/model.pt" in logs["evaluating"]
        assert "Restored all variables from runs/local/final.pt" in logs["evaluating"]
        assert re.search(r"mre_mm: \d", logs["evaluating"])


def test_films_of_patients_have_the_rows_of_detect(bundle: Path, tmp_path: Path) -> None:
    root = os.environ.get("ISBI2015_DIR")
    if not root:
        pytest.skip("ISBI2015_DIR is not set")
    films = sorted(path for path in (Path(root) / "RawImage").rglob("*.*") if path.is_file())
    chosen = [films[number] for number in np.linspace(0, len(films) - 1, 3).round().astype(int)]
    for path in chosen:
        (tmp_path / path.name).symlink_to(path)
    options = {"config_file": "configs/inference.json", "dataset_dir": tmp_path, "output_dir": tmp_path / "out"}
    flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    execute_all({"run": ["run", "inferring", "--device", "$torch.device('cpu')", *flags]}, bundle)
    detector = CephalogramDetector("cpu")
    for path in chosen:
        with (tmp_path / "out" / f"{path.name}.landmarks.csv").open(newline="") as stream:
            _, *rows = csv.reader(stream)
        assert_same_rows(rows, list(landmark_rows(detector(tmp_path / path.name, force=True))))


class TestOtherWeights:
    """The error model of a bundle is only for its own weights."""

    def test_its_own_weights_have_it(self, bundle: Path) -> None:
        config = ConfigParser()
        config.read_config(str(bundle / "configs" / "inference.json"))
        config["bundle_root"] = str(bundle)
        model = config.get_parsed_content("error_model")
        assert {key: model[key] for key in ("slopes", "within_90")} == {
            key: weights.read_error_model(Path(weights.__file__).with_name("errors.json"))[key]
            for key in ("slopes", "within_90")
        }
        assert config.get_parsed_content("missing_below") == 0.0
        assert config.get_parsed_content("fitted_limits") == []

    @pytest.mark.parametrize(
        "change", [{"local_weights": weights.path("local")}, {"context_weights": None}], ids=["another", "none"]
    )
    def test_a_stage_with_other_weights_or_none_has_limits_of_the_score(
        self, bundle: Path, change: dict[str, Any]
    ) -> None:
        config = ConfigParser()
        config.read_config(str(bundle / "configs" / "inference.json"))
        config.update({"bundle_root": str(bundle), **change})
        assert config.get_parsed_content("error_model") is None
        assert config.get_parsed_content("missing_below") == 0.1
        # without the context network the others are still the model's own
        others = ["missing_below", "uncertain_below"] if "local_weights" in change else []
        assert config.get_parsed_content("fitted_limits") == others

    def test_weights_that_were_replaced(self, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "model.pt").write_bytes((bundle / "models" / "model.pt").read_bytes() + b"0")
        used = dict.fromkeys(weights.STAGES, str(tmp_path / "model.pt"))
        assert weights.bundled_error_model(str(bundle / "models" / "errors.json"), used) is None

    def test_a_recipe_without_a_pose_has_none(self, tmp_path: Path) -> None:
        (tmp_path / "own.json").write_text(json.dumps({"pose": None}))
        written = write_bundle(tmp_path, [tmp_path / "own.json"], torchscript=False).folder
        assert not (written / "models" / "errors.json").exists()
        assert json.loads((written / "configs" / "inference.json").read_text())["error_model"] is None

    def test_a_file_that_does_not_say_whose_it_is(self) -> None:
        file = str(Path(weights.__file__).with_name("errors.json"))
        with pytest.raises(CephError, match=r"errors\.json: not an error model of a bundle: it lacks stages"):
            weights.bundled_error_model(file, {"local": weights.path("local")})


class TestRefusals:
    def test_a_folder_that_is_not_empty(self, tmp_path: Path) -> None:
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / "mine.txt").write_text("mine")
        done = CliRunner().invoke(app, ["bundle", str(tmp_path)])
        assert done.exit_code == 2
        assert f"{tmp_path / NAME}: the folder exists and is not empty" in done.output.replace("\n", "")
        assert [path.name for path in tmp_path.rglob("*")] == [NAME, "mine.txt"]

    def test_weights_that_half_precision_cannot_hold_leave_nothing(self, tmp_path: Path) -> None:
        state = torch.load(weights.path("local"), weights_only=True)
        name = next(key for key, value in state.items() if value.is_floating_point())
        state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
        state[name].view(-1)[0] = 1e6
        torch.save(state, tmp_path / "local.pt")
        (tmp_path / "own.json").write_text(json.dumps({"local_weights": str(tmp_path / "local.pt")}))
        with pytest.raises(CephError, match=rf"{re.escape(name)} has values above 65504"):
            write_bundle(tmp_path / "out", [tmp_path / "own.json"], torchscript=False)
        assert not list((tmp_path / "out").iterdir())

    def test_weights_that_do_not_fit_leave_nothing(self, tmp_path: Path) -> None:
        torch.save({"a": torch.zeros(1)}, tmp_path / "own.pt")
        (tmp_path / "own.json").write_text(json.dumps({"local_weights": str(tmp_path / "own.pt")}))
        done = CliRunner().invoke(app, ["bundle", str(tmp_path / "out"), "--config", str(tmp_path / "own.json")])
        assert done.exit_code == 2
        assert "own.pt: not weights of this network" in done.output
        assert not (tmp_path / "out").exists()


class TestModelOfTheUser:
    """Two landmarks, and a context network of another class."""

    @pytest.fixture(scope="class")
    def own(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        out = tmp_path_factory.mktemp("own")
        context = {"in_channels": 1, "out_channels": 3, "backbone": "resnet10", "spatial_dims": 2, "pretrained": False}
        networks = {
            "global": HeatmapUNet((4, 8), num_landmarks=2),
            "local": HeatmapUNet((4, 8), num_landmarks=2),
            "context": FlexibleUNet(**context),
        }
        overlay = {
            "channels": [4, 8],
            "landmarks": ["tip", "S"],
            "mean_shape": [[0.0, -1.0], [0.0, 1.0]],
            "context_network_def": {"_target_": "FlexibleUNet", **context},
            **{f"{stage}_weights": str(out / f"{stage}.pt") for stage in networks},
        }
        (out / "own.json").write_text(json.dumps(overlay))
        for stage, network in networks.items():
            torch.save(network.state_dict(), out / f"{stage}.pt")
        return write_bundle(out, [out / "own.json"]).folder

    def test_every_network_is_in_both_files(self, own: Path) -> None:
        names = {"global_network", "local_network", "context_network"}
        state = torch.load(own / "models" / "model.pt", weights_only=True)
        assert {key.partition(".")[0] for key in state} == names
        exported = torch.jit.load(own / "models" / "model.ts")
        assert all(getattr(exported, name)(torch.rand(1, 1, 64, 64)).shape == (1, 3, 64, 64) for name in names)

    def test_metadata(self, own: Path) -> None:
        metadata = metadata_of(own)
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        assert channels == {"0": "tip", "1": NAMES[0], "2": "background"}
        assert metadata["eval_metrics"] == {}
        verify_net_in_out(net_id="network_def", device="cpu", n=4, **files_of(own))

    def test_training_has_the_landmarks_and_the_size_of_the_model(self, own: Path) -> None:
        config = json.loads((own / "configs" / "train.json").read_text())
        assert (config["landmarks"], config["channels"]) == (["tip", "S"], [4, 8])

    def test_no_overlay_trains_a_network_of_another_class(self, bundle: Path, own: Path) -> None:
        assert (bundle / "configs" / "overlays" / "context.json").is_file()
        assert not (own / "configs" / "overlays" / "context.json").exists()
        assert (own / "configs" / "overlays" / "accurate.json").is_file()

    def test_a_network_that_is_defined_in_python(self, tmp_path: Path) -> None:
        network = "$__import__('monai_ceph.networks').networks.EfficientNetHeatmapUNet()"
        (tmp_path / "own.json").write_text(json.dumps({"context_network_def": network}))
        written = write_bundle(tmp_path, [tmp_path / "own.json"], torchscript=False).folder
        assert not (written / "configs" / "overlays" / "context.json").exists()

    def test_errors_that_nobody_counted_are_not_told(self, own: Path) -> None:
        assert not (own / "models" / "errors.json").exists()
        config = json.loads((own / "configs" / "inference.json").read_text())
        assert config["error_model"] is None
        assert "errors" not in config
        assert "There are no radii." in " ".join((own / "docs" / "README.md").read_text().split())

    def test_documents_make_no_claim_about_other_weights(self, own: Path) -> None:
        assert "Not measured" in (own / "docs" / "README.md").read_text()
        for file in ("docs/README.md", "docs/data_license.txt"):
            assert "ISBI" not in (own / file).read_text()
