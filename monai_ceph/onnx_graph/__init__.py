"""The whole method as one ONNX graph: what ``monai-ceph onnx`` writes.

The graph is written with ndonnx, arrays that record ONNX operators. Every function here says which part of the package
it repeats; ``tests/onnx_graph/`` compares both.
"""
