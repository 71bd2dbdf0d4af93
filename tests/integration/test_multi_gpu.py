"""bundles/overlays/multi_gpu.json in two Gloo processes that torchrun starts."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import config_file
from monai.bundle import ConfigWorkflow
from monai.utils import set_determinism

from monai_ceph import weights
from monai_ceph.networks import HeatmapUNet

# a film of 240 pixels and a network of two levels
TINY: dict[str, Any] = {
    "device": "$torch.device('cpu')",
    "channels": [4, 8],
    "crop_side": 240,
    "val_interval": 1,
    "warmup_iterations": 1,
}
# 2 films train, 3 validate: not the same number in each process
GLOBAL: dict[str, Any] = {
    **TINY,
    "output_dir": "runs/global",
    "phantoms": 5,
    "folds": 2,
    "batch_size": 2,
    "scale": 0.3,
    "heatmap_width": 12,
}
# 1 film validates, in two processes
LOCAL: dict[str, Any] = {
    **TINY,
    "output_dir": "runs/local",
    "phantoms": 3,
    "folds": 3,
    "batch_size": 4,
    "patches_per_film": 8,
    "patches_per_load": 2,
    "train_patch_size": 32,
    "augmentation_margin": 8,
    "max_offset": 10,
    "patch_size": 32,
    "max_epochs": 1,
}

# what each process knows at the end
REPORT = {
    "+training": [
        "$torch.save({'network': @network.state_dict(), 'metrics': @validate#evaluator.state.metrics},"
        " @output_dir + f'/process{distributed.rank()}.pt')"
    ]
}

# several command lines in the same two processes: importing torch and MONAI costs more than the runs
DRIVER = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["monai.bundle", *arguments]
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""


def command(*names: str, **options: Any) -> list[str]:
    files = [str(config_file(name)) for name in (*names, "multi_gpu")] + ["report.json"]
    flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    return ["run", "training", "--config_file", str(files), *flags]


def single(*names: str, run_id: str = "training", **options: Any) -> ConfigWorkflow:
    """Run a bundle in this process."""
    files = [str(config_file(name)) for name in names]
    workflow = ConfigWorkflow(files, logging_file=False, run_id=run_id, **options)
    workflow.initialize()
    workflow.run()
    set_determinism(None)
    return workflow


def validated(final: Path, *names: str, **options: Any) -> dict[str, float]:
    """The metrics of weights, evaluated in this process."""
    load = f"$@network.load_state_dict(torch.load('{final}', weights_only=True))"
    workflow = single(
        *names, run_id="validating", validating=[load, "$@validate#evaluator.run()"], resume=False, **options
    )
    return dict(workflow.parser.get_parsed_content("validate#evaluator").state.metrics)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two processes")


@pytest.fixture(scope="module")
def log(folder: Path) -> str:
    """What two processes print that go on with a run of a single one, train another, and stop with an error in one."""
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "driver.py").write_text(DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        single("local", "global", "robust", max_epochs=1, **GLOBAL)
    commands = [
        # the group stays for the next run; torchrun's has one run a process
        command("local", "global", "robust", **GLOBAL, max_epochs=2, finalize=[]),
        command("local", "accurate", **LOCAL, initialize=[], finalize=[]),
        # the second process stops when its first epoch starts, the first one waits for its gradients
        command(
            "local",
            **{**LOCAL, "output_dir": "runs/error", "phantoms": 0, "initialize": []},
            dataset_dir="runs/local/phantoms/3-seed-0",
            focal_epoch="$60 if distributed.rank() == 0 else 'never'",
        ),
    ]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nnodes=1", "--nproc_per_node=2"]
    result = subprocess.run(
        [sys.executable, *torchrun, "driver.py", json.dumps(commands)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # a process that waits for one that has ended would wait for half an hour
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert result.returncode != 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def processes(log: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        run: [torch.load(folder / "runs" / run / f"process{number}.pt", weights_only=True) for number in (0, 1)]
        for run in ("global", "local")
    }


def test_an_error_in_one_process_ends_both(log: str, folder: Path) -> None:
    assert "TypeError: '>=' not supported between instances of 'int' and 'str'" in log
    assert not (folder / "runs" / "error" / "final.pt").exists()


@pytest.mark.parametrize("run", ["global", "local"])
def test_all_processes_end_with_the_network_that_is_saved(
    processes: dict[str, list[dict[str, Any]]], folder: Path, run: str
) -> None:
    final = torch.load(folder / "runs" / run / "final.pt", weights_only=True)
    for process in processes[run]:
        assert process["network"].keys() == final.keys()
        assert all(torch.equal(process["network"][key], value) for key, value in final.items())


@pytest.mark.parametrize("run", ["global", "local"])
def test_the_file_is_that_of_a_single_process(log: str, folder: Path, run: str) -> None:
    path = folder / "runs" / run / "final.pt"
    network = HeatmapUNet(channels=TINY["channels"])
    network.load_state_dict(torch.load(path, weights_only=True))
    exported = folder / f"{run}.pt"
    weights.export(path, exported)
    weights.load(network, exported)


@pytest.mark.parametrize(
    ("run", "names", "options"),
    [("global", ("local", "global", "robust"), GLOBAL), ("local", ("local", "accurate"), LOCAL)],
)
def test_shares_of_the_films_give_the_metrics_of_all_films(
    processes: dict[str, list[dict[str, Any]]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: str,
    names: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    monkeypatch.chdir(folder)
    expected = validated(folder / "runs" / run / "final.pt", *names, **options)
    assert all(math.isfinite(value) for value in expected.values())
    for process in processes[run]:
        assert process["metrics"] == expected


def test_one_process_logs_and_saves(log: str, folder: Path) -> None:
    assert re.findall(r"(\d+) films to train on, (\d+) to validate on", log) == [("2", "3"), ("2", "1"), ("2", "1")]
    assert log.count("NO DATASET") == 2
    assert len(re.findall(r"Epoch\[2\] Metrics -- .*mre_mm", log)) == 1
    # events.out.tfevents.TIME.HOST.PROCESS.NUMBER; this process has evaluated, in another test
    writers = {path.name.split(".")[-2] for path in (folder / "runs" / "local").glob("events.out.tfevents*")}
    assert len(writers - {str(os.getpid())}) == 1


def test_two_processes_resume_a_run_of_one(log: str) -> None:
    assert "resuming after epoch 1: runs/global/checkpoint.pt" in log


def test_one_process_resumes_a_run_of_two(log: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shutil.copytree(folder / "runs" / "global", folder / "runs" / "further")
    further = single("local", "global", "robust", **{**GLOBAL, "output_dir": "runs/further", "max_epochs": 3})
    trainer = further.parser.get_parsed_content("train#trainer")
    assert (trainer.state.epoch, trainer.state.iteration) == (3, 3)
    saved = torch.load(folder / "runs" / "further" / "checkpoint.pt", weights_only=True)["trainer"]
    assert saved["iteration"] == 3
