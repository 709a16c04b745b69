"""The conda side: a channel on disk with the same packages, an environment from it, and `conda-pack` beside us.

`conda-pack` packs what lies in the prefix into one `.tar.gz`; a rebuild makes an image that also holds the OS packages,
from the archives of the channel. Its default is one thread, ours is every core; so it is measured both ways.
"""

import json
import os
import shutil
import statistics
from pathlib import Path
from typing import Any

from commands import Measured, StepError, run, settle, tell
from report import seconds, times, verdict
from storage import copy_store, forget_layers
from workplace import Part, count_files

RUNS = 3
RECORDS = 150
CONDA_PACK = "conda-pack==0.9.2"


class CondaBench(Part):
    """The same packages as conda's."""

    name = "conda"

    @property
    def prefix(self) -> Path:
        """The environment."""
        return self.root / "env"

    @property
    def store(self) -> Path:
        """The store of the measured commands."""
        return self.root / "store"

    def envcap(self, *arguments: str | Path) -> Measured:
        """Run envcap as a user of the channel does."""
        channel = {"CONDA_CHANNELS": (self.root / "lab").as_uri()}
        return run([self.place.bin / "envcap", *arguments, "--store", self.store], env=channel, cwd=self.root)

    def prepare(self) -> None:
        """Make the channel and the environment from the wheels that the other rows install."""
        place = self.place
        self.root.mkdir()
        wheels = self.root / "wheels"
        tell("conda: a channel of the same packages, and an environment from it")
        pins = self.root / "wheels.txt"
        pins.write_text("".join(f"{pin}\n" for pin in place.pins), encoding="utf-8")
        run([place.bin / "python", "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:",
             "--dest", wheels, "--requirement", pins])  # fmt: skip
        script = Path(__file__).resolve().parent.parent / "make-channel"
        run([script, self.root, "--wheels", wheels, "--packages", str(RECORDS)])
        records = len(list((self.prefix / "conda-meta").glob("*.json")))
        self.facts.append(f"conda: {records} records, {count_files(self.prefix)} files")
        seed = place.root / "seed"
        if seed.is_dir():
            copy_store(seed, self.store)
        self.take()

    def take(self) -> Measured:
        """Take a snapshot."""
        return self.envcap("snapshot", self.prefix, "--name", "conda", "--output", self.root / "locks")

    def snapshot(self) -> list[str]:
        """Snapshot with nothing changed; gives a row."""
        self.prepare()
        took = []
        for number in range(RUNS):
            tell(f"conda: snapshot {number + 1} of {RUNS}")
            settle()
            took.append(self.take().seconds)
        return [f"{seconds(took)} {verdict(met=statistics.median(took) < 2)}"]

    def build(self, *options: str) -> tuple[float, dict[str, Any]]:
        """Rebuild to a layout; gives seconds and what `--json` says."""
        layout = self.root / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        settle()
        taken = self.envcap("rebuild", self.root / "locks" / "conda", "--output", layout, "--json", *options)
        built: dict[str, Any] = json.loads(taken.output)
        if built["image_id"] != built["expected"]:
            raise StepError("the rebuilt image is not the one that the snapshot computed")
        return taken.seconds, built

    def pack(self, program: Path, threads: int) -> float:
        """Pack the prefix; gives seconds."""
        target = self.root / "packed.tar.gz"
        target.unlink(missing_ok=True)
        settle()
        caches = {"CONDA_PKGS_DIRS": str(self.root / "package-cache")}
        words = [program, "--quiet", "--prefix", self.prefix, "--output", target, "--n-threads", str(threads)]
        return run(words, env=caches).seconds

    def rebuild(self) -> list[str]:
        """Rebuild against `conda-pack`, in turns; gives three rows: its default, all its threads, every layer there."""
        if not (self.root / "locks" / "conda").is_dir():
            raise StepError("needs a snapshot, and there is none")
        tools = self.root / "tools"
        self.place.make_venv(tools)
        self.place.uv("pip", "install", "--quiet", "--python", tools, CONDA_PACK, "setuptools")
        first, image = self.build()
        self.facts.append(f"conda: rebuild that also fetches the archives: {first:.1f} s")
        took: list[float] = []
        again: list[float] = []
        packed: dict[int, list[float]] = {1: [], -1: []}
        for number in range(RUNS):
            tell(f"conda: rebuild and conda-pack {number + 1} of {RUNS}")
            forget_layers(self.store, [row["digest"] for row in image["layers"]])
            took.append(self.build("--offline")[0])
            again.append(self.build("--offline")[0])
            for threads, found in packed.items():
                found.append(self.pack(tools / "bin" / "conda-pack", threads))
        self.facts.append(f"conda-pack: {CONDA_PACK.partition('==')[2]}, {os.cpu_count()} cores")
        compared = {
            threads: f"{seconds(took)}; conda-pack: {seconds(found)}; {times(found, took):.2f}x as fast"
            for threads, found in packed.items()
        }
        return [f"{compared[1]} {verdict(met=times(packed[1], took) > 1)}", compared[-1], seconds(again)]
