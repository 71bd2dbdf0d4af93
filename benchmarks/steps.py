"""Time of a training step, for the data pipeline and the network.

``python benchmarks/steps.py ISBI2015/ --config bundles/local.json --config bundles/overlays/accurate.json`` uses the
films that the bundle would train on (the first ``--films`` of them, cached as in training) and prints seconds per step.
Nothing is saved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from monai_ceph.training import training_films


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder, or a folder of annotated films")
    parser.add_argument("--config", action="append", required=True, help="bundle config; further ones are overlays")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--steps", type=int, default=30, help="counted steps, after three")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    set_determinism(0)
    config = ConfigParser()
    config.read_config(args.config)
    with TemporaryDirectory() as folder:
        films = training_films(str(args.dataset), folder, "mean", 0, 5, 0, 0)["train"][: args.films]
    # films cannot be written in a config, so an expression fetches them
    _FILMS.update(train=films, validate=films[:1])
    config["films"] = "$__import__('sys').modules['__main__']._FILMS"
    config["dataset_dir"] = str(args.dataset)
    loader, network, loss, optimizer = (
        config.get_parsed_content(key) for key in ("train#dataloader", "network", "loss", "optimizer")
    )
    device = next(network.parameters()).device
    if len(loader) == 0:
        parser.error(f"{args.films} films are too few for a batch")
    data, step = [], []
    size: tuple[int, ...] = ()
    while len(step) < args.steps + 3:
        begin = time.perf_counter()
        for batch in loader:
            loaded = time.perf_counter()
            loss(network(batch["image"].to(device)), batch["label"].to(device)).backward()
            optimizer.step()
            optimizer.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            done = time.perf_counter()
            data.append(loaded - begin)
            step.append(done - loaded)
            size = tuple(batch["image"].shape)
            begin = time.perf_counter()
    in_data, in_step = statistics.mean(data[3:]), statistics.mean(step[3:])
    shape = " x ".join(map(str, size))
    print(f"{' + '.join(Path(file).stem for file in args.config)}; {args.threads} threads; a batch is {shape}\n")
    print("| data, s | network, loss and optimiser, s | share of the data |\n|---|---|---|")
    print(f"| {in_data:.3f} | {in_step:.3f} | {100 * in_data / (in_data + in_step):.0f} % |")


_FILMS: dict[str, list[dict[str, Any]]] = {}

if __name__ == "__main__":
    main()
