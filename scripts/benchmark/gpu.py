"""The GPU side: a CUDA environment of 5 GB, the analysis of its code alone, and a whole snapshot of it.

It is asked for with `--gpu`: its wheels are 3 GB.
"""

import json
import re
import statistics
from pathlib import Path
from typing import Any

from commands import Measured, run, settle, tell
from report import seconds, verdict
from workplace import Part, count_files

RUNS = 3
PACKAGES = ("torch==2.14.1", "xgboost==3.2.0", "cupy-cuda12x==14.2.0")

_ANALYSE = """
import json, sys, time
from pathlib import Path
from envcap.scan import scan_environment
from envcap.scan.gpu_stack import scan_gpu_stack
from envcap.scan.runner import SubprocessRunner
prefix = Path(sys.argv[1])
environment = scan_environment(prefix, run=SubprocessRunner({}))
took = []
for _ in range(int(sys.argv[2])):
    started = time.monotonic()
    stack, _ = scan_gpu_stack(environment, dpkg=Path("/var/lib/dpkg"))
    took.append(time.monotonic() - started)
size = sum((prefix / row.file).stat().st_size for row in stack.code)
print(json.dumps({"took": took, "libraries": len(stack.code), "bytes": size}))
"""

_HASH = """
import hashlib, time
data = bytes(1 << 28)
started = time.monotonic()
hashlib.sha256(data)
print(len(data) / (time.monotonic() - started))
"""


class GpuBench(Part):
    """A CUDA environment."""

    name = "gpu"

    def prepare(self) -> Path:
        """Make the environment; pip takes wheels that lie on this disk, where it knows of any."""
        environment = self.root / "env"
        tell("gpu: an environment with torch for CUDA")
        self.root.mkdir()
        self.place.make_venv(environment)
        run([self.place.bin / "python", "-m", "pip", "--quiet", "--python", environment, "install", *PACKAGES])
        return environment

    def take(self, environment: Path) -> Measured:
        """Take a snapshot."""
        where = ("--output", self.root / "locks", "--store", self.root / "store", "--json")
        return self.place.envcap("snapshot", environment, "--name", "gpu", *where)

    def measure(self) -> list[str]:
        """Analyse and take snapshots with everything warm; gives two rows."""
        environment = self.prepare()
        size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
        self.facts.append(f"gpu: {count_files(environment)} files, {size / 1e9:.1f} GB, {', '.join(PACKAGES)}")
        tell("gpu: analysis")
        python = self.place.bin / "python"
        found: dict[str, Any] = json.loads(run([python, "-c", _ANALYSE, environment, str(RUNS + 1)]).output)
        took = found["took"][1:]
        rate = found["bytes"] / statistics.median(took) / 1e9
        analysed = f"{seconds(took)}: {found['libraries']} libraries, {rate:.1f} GB/s"
        tell("gpu: snapshots")
        self.take(environment)
        whole = []
        for _ in range(RUNS):
            settle()
            whole.append(self.take(environment).seconds)
        hashing = float(run([python, "-c", _HASH]).output) / 1e9
        share = size / statistics.median(whole) / 1e9
        cores = re.sub(r"\.0\Z", "", f"{share / hashing:.2f}")
        return [
            f"{analysed} {verdict(met=statistics.median(took) < 3)}",
            f"{seconds(whole)}: {share:.2f} GB/s, {cores} times what sha256 does on one core ({hashing:.2f} GB/s)",
        ]
