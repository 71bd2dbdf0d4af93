"""One pass of the local network over 640 x 640 pixels: torch against ONNX Runtime and OpenVINO.

``pip install onnx onnxruntime openvino`` first; ``python benchmarks/runtimes.py --threads 2`` prints the median of the
calls, in milliseconds, and the largest difference of the logits from torch in single precision.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from monai_ceph import weights
from monai_ceph.networks import HeatmapUNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--calls", type=int, default=15, help="counted calls, after two")
    args = parser.parse_args()
    try:
        import onnxruntime
        import openvino
    except ImportError as error:
        parser.exit(2, f"{error}: pip install onnx onnxruntime openvino\n")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    film = torch.rand(1, 1, 640, 640)
    network = weights.load(HeatmapUNet(), weights.path("local"))
    mixed = weights.load(HeatmapUNet(mixed_precision=True), weights.path("local"))
    with torch.inference_mode():
        exact = network(film)

    print(f"{args.threads} threads, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, ", end="")
    print(f"openvino {openvino.__version__}\n\n| runtime | ms | logits differ by at most |\n|---|---|---|")

    def row(label: str, call: Callable[[], torch.Tensor]) -> None:
        times = []
        for _ in range(args.calls + 2):
            begin = time.perf_counter()
            logits = call()
            times.append(time.perf_counter() - begin)
        difference = float((logits - exact).abs().max())
        print(f"| {label} | {1000 * statistics.median(times[2:]):.0f} | {difference:.2g} |", flush=True)

    with torch.inference_mode():
        row("torch", lambda: network(film))
        row("torch, bfloat16", lambda: mixed(film))
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = str(Path(folder) / "local.onnx")
        torch.onnx.export(network.unet, (film,), file, input_names=["film"], dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        row("ONNX Runtime", lambda: torch.from_numpy(session.run(None, {"film": film.numpy()})[0]))
        for precision in ("f32", "bf16"):
            settings = {"INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": precision}
            request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()
            row(f"OpenVINO, {precision}", lambda run=request: torch.from_numpy(run.infer({0: film.numpy()})[0]))


if __name__ == "__main__":
    main()
