"""The figures of the table, each measured with everything it is compared with in the same minutes."""

import json
import shutil
import statistics
from dataclasses import dataclass, field
from typing import Any

from commands import StepError, run, settle, tell
from engine import build_and_push, find_docker, prepared
from report import seconds, size, times, verdict
from storage import copy_store, forget_layers, seed_store
from workplace import Workplace, count_files, fetched

RUNS = 3
CHANGED = "fonttools==4.67.0"
"""One package in another version: a wheel of more than 1 MB, and so a layer of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a store holds besides wheels and debs when a rebuild begins.

    Attributes:
        name: For the table.
        layers: What the layers in it hold.
        everything: Every layer is in it.
    """

    name: str
    layers: tuple[str, ...] = ()
    everything: bool = False

    def keeps(self, what: str) -> bool:
        """Tell whether a layer is in the store, by what it holds."""
        return self.everything or what in self.layers


STATES = (
    State(name="no layer"),
    State(name="the OS layer", layers=("OS packages",)),
    State(name="the OS and interpreter layers, as after another lock", layers=("OS packages", "interpreter")),
    State(name="every layer, as after the same lock", everything=True),
)
"""In this order: a layer must have been built before it can be kept."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """The state of one run.

    Attributes:
        place: Where it happens.
        peaks: Largest memory of each command, bytes.
        facts: What was measured on, for the line below the table.
    """

    place: Workplace
    peaks: dict[str, int] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)

    def peak(self, command: str, found: int) -> None:
        """Note the memory of one run."""
        self.peaks[command] = max(found, self.peaks.get(command, 0))

    # -- preparation

    def prepare(self) -> list[str]:
        """Make the environment, and a store with only the OS packages' files and indexes in it; gives no row."""
        place = self.place
        python = run([place.python, "-c", "import platform; print(platform.python_version())"]).output.strip()
        self.facts.append(f"environment on Python {python}, {place.uv('--version').output.strip()}")
        tell(f"installing {len(place.pins)} pinned packages")
        place.requirements.write_text("".join(f"{pin}\n" for pin in place.pins), encoding="utf-8")
        place.make_venv(place.environment)
        place.install(place.environment)
        self.facts.append(f"{len(place.pins)} packages, {count_files(place.environment)} files")
        tell("one snapshot from nothing, for the OS packages' files and indexes")
        warm = place.root / "store-warm"
        first = place.snapshot(warm, locks="locks-warm")
        self.facts.append(f"snapshot with an empty store, Debian's indexes and packages fetched: {first.seconds:.1f} s")
        seed_store(warm, place.root / "seed", [row["sha256"] for row in place.read_lock("locks-warm")["system"]])
        shutil.rmtree(warm)
        return []

    # -- snapshot

    def snapshot(self) -> list[str]:
        """Snapshot without any proof known; gives three rows: seconds, bytes, share proven."""
        place, taken = self.place, []
        if not (place.root / "seed").is_dir():
            raise StepError("needs the preparation, which failed")
        for number in range(RUNS):
            tell(f"snapshot {number + 1} of {RUNS}")
            copy_store(place.root / "seed", place.store)
            shutil.rmtree(place.lock, ignore_errors=True)
            settle()
            taken.append(place.snapshot(place.store))
            self.peak("snapshot", taken[-1].peak)
        took = [row.seconds for row in taken]
        got = fetched(taken[-1].output)
        share = got.read / got.wheels
        rows = place.read_lock()["packages"]
        proven = [row for row in rows if row.get("proof", "record") in {"record", "url"}]
        pages = f"; and {size(got.pages)} of index pages" if got.pages else ""
        return [
            f"{seconds(took)} {verdict(met=statistics.median(took) < 10)}",
            f"{share:.1%}: {size(got.read)} of {size(got.wheels)}{pages} {verdict(met=share < 0.05)}",
            f"{len(proven)} of {len(rows)} {verdict(met=len(proven) == len(rows))}",
        ]

    def again(self) -> list[str]:
        """Snapshot with nothing changed; gives two rows: seconds, and whether the lock's bytes are the same."""
        place = self.place
        place.read_lock()
        file = place.lock / "envcap.lock"
        before, took, same = file.read_bytes(), [], True
        for number in range(RUNS):
            tell(f"snapshot again {number + 1} of {RUNS}")
            settle()
            taken = place.snapshot(place.store)
            self.peak("snapshot", taken.peak)
            took.append(taken.seconds)
            same = same and file.read_bytes() == before
        return [
            f"{seconds(took)} {verdict(met=statistics.median(took) < 3)}",
            f"{'yes' if same else 'no'} {verdict(met=same)}",
        ]

    # -- check

    def check(self) -> list[str]:
        """Check the unchanged environment; gives three rows: on a machine that has nothing, again, and in full."""
        place, elsewhere = self.place, self.place.root / "store-check"
        place.read_lock()
        shutil.rmtree(elsewhere, ignore_errors=True)
        tell("check with an empty store")
        settle()
        first = place.check(elsewhere)
        again, full = [], []
        for number in range(RUNS):
            tell(f"check again {number + 1} of {RUNS}")
            settle()
            again.append(place.check(place.store).seconds)
            full.append(place.check(place.store, "--full").seconds)
        return [
            seconds([first.seconds]),
            f"{seconds(again)} {verdict(met=statistics.median(again) < 1.5)}",
            f"{seconds(full)} {verdict(met=statistics.median(full) < 4)}",
        ]

    # -- rebuild

    def fetch(self) -> dict[str, Any]:
        """Bring every wheel into the store by one rebuild that is not compared with anything."""
        self.place.read_lock()
        tell("one rebuild that fetches the wheels")
        first, image = self.place.rebuild(offline=False)
        self.facts.append(f"rebuild that also fetches the wheels: {first.seconds:.1f} s")
        self.facts.append(f"image: {len(image['layers'])} layers, {size(sum(row['size'] for row in image['layers']))}")
        return image

    def timed(self, image: dict[str, Any], state: State) -> float:
        """Rebuild from a store in a state; gives seconds."""
        layers = image["layers"]
        kept = [row["digest"] for row in layers if state.keeps(row["what"])]
        forget_layers(self.place.store, [row["digest"] for row in layers], keep=kept)
        settle()
        taken, built = self.place.rebuild()
        self.peak("rebuild", taken.peak)
        if built["image_id"] != built["expected"]:
            raise StepError("the rebuilt image is not the one that the snapshot computed")
        return taken.seconds

    def rebuild(self) -> list[str]:
        """Rebuild against `uv pip install`, in turns; gives a row for each state of the store."""
        place, image = self.place, self.fetch()
        installed: list[float] = []
        took: dict[str, list[float]] = {state.name: [] for state in STATES}
        for number in range(RUNS):
            tell(f"rebuild from {len(STATES)} states of the store, and uv, {number + 1} of {RUNS}")
            for state in STATES:
                took[state.name].append(self.timed(image, state))
            # A folder of its own, and nothing is deleted before the end: ext4 is slow where much was deleted lately.
            target = place.root / "uv-envs" / str(number)
            place.make_venv(target)
            settle()
            installed.append(place.install(target, offline=True).seconds)
        return [
            f"{seconds(row)}; uv: {seconds(installed)}; {times(installed, row):.2f}x as fast "
            f"{verdict(met=times(installed, row) > 1)}"
            for row in took.values()
        ]

    def docker(self) -> list[str]:
        """Rebuild against `docker build` and `docker push`, in turns; gives a row for each state of the store."""
        place = self.place
        place.read_lock()
        docker = find_docker()
        self.facts.append(f"docker {docker.version}")
        builds: list[float] = []
        pushes: list[float] = []
        took: dict[str, list[float]] = {state.name: [] for state in STATES}
        with prepared(docker, place) as (context, address):
            _, image = place.rebuild(offline=False)
            for number in range(2):
                tell(f"rebuild from {len(STATES)} states of the store, and docker build and push, {number + 1} of 2")
                for state in STATES:
                    took[state.name].append(self.timed(image, state))
                settle()
                build, push = build_and_push(docker, context, f"{address}/bench{number}")
                builds.append(build.seconds)
                pushes.append(push.seconds)
        sums = [build + push for build, push in zip(builds, pushes, strict=True)]
        parts = f"(build {statistics.median(builds):.1f} s, push {statistics.median(pushes):.1f} s)"
        return [
            f"{seconds(row)}; docker: {seconds(sums)} {parts}; {times(sums, row):.1f}x as fast "
            f"{verdict(met=times(sums, row) >= 5)}"
            for row in took.values()
        ]

    def changed(self) -> list[str]:
        """Rebuild after another version of one package was installed; gives two rows: layers, seconds."""
        place = self.place
        place.read_lock()
        _, before = place.rebuild(offline=False)
        old = {row["digest"] for row in before["layers"]}
        tell(f"one package changed: {CHANGED}")
        place.uv("pip", "install", "--python", place.environment, "--link-mode=copy", "--no-deps", CHANGED)
        place.snapshot(place.store)
        first, after = place.rebuild(offline=False)
        new = [row for row in after["layers"] if row["digest"] not in old]
        took = []
        for _ in range(RUNS):
            forget_layers(place.store, [row["digest"] for row in new], keep=old)
            settle()
            taken, _ = place.rebuild()
            self.peak("rebuild", taken.peak)
            took.append(taken.seconds)
        wheels = [row for row in new if row["what"] != "environment"]
        fit = len(wheels) == 1 and len(new) == 2
        return [
            f"{len(new)} new layers: {', '.join(row['what'] for row in new)} {verdict(met=fit)}",
            f"{seconds(took)}; {first.seconds:.2f} s with the wheel fetched {verdict(met=statistics.median(took) < 1)}",
        ]

    # -- the rest

    def bundle(self) -> list[str]:
        """Bundle from a warm store, and rebuild from nothing else; gives a row for each."""
        place, file, empty = self.place, self.place.root / "bench.envcap", self.place.root / "store-bundle"
        place.read_lock()
        took = []
        for number in range(RUNS):
            tell(f"bundle {number + 1} of {RUNS}")
            settle()
            taken = place.envcap("bundle", place.lock, "-o", file, "--store", place.store, "--offline")
            took.append(taken.seconds)
        tell("rebuild from the bundle")
        shutil.rmtree(empty, ignore_errors=True)
        settle()
        built = place.envcap("rebuild", file, "--store", empty, "--offline", "--json")
        image = json.loads(built.output)
        same = image["image_id"] == image["expected"]
        return [
            f"{seconds(took)} for {size(file.stat().st_size)} {verdict(met=statistics.median(took) < 2)}",
            f"{seconds([built.seconds])} {verdict(met=same)}",
        ]

    def memory(self) -> list[str]:
        """Give the largest memory of any measured snapshot and rebuild, a row each."""
        found = []
        for command in ("snapshot", "rebuild"):
            peak = self.peaks.get(command)
            found.append(f"{size(peak)} {verdict(met=peak < 300e6)}" if peak else f"not measured: no {command} ran")
        return found

    def help(self) -> list[str]:
        """Time `envcap --help`."""
        took = [self.place.envcap("--help").seconds for _ in range(5)]
        return [f"{seconds(took)} {verdict(met=statistics.median(took) < 0.3)}"]
