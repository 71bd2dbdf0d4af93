import sys
from pathlib import Path

# the fuzzer and the tests read the same sample files
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
