"""Registries: pushes against `skopeo copy`, and taking an image against `docker pull`, on a registry on loopback.

The image is brought to 1 GB by wheels of incompressible bytes. Every push goes to a registry that is empty, on a port
of its own: nothing is there to be known or mounted.
"""

import json
import os
import shutil
import statistics
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from commands import StepError, run, settle, tell
from engine import find_docker, registry
from report import seconds, size, times, verdict
from workplace import Part

RUNS = 3
_WHOLE = 1 << 30
_PIECE = 100 << 20


class SharingBench(Part):
    """Registries and their clients."""

    name = "sharing"

    @property
    def lock(self) -> Path:
        """The folder of its lock."""
        return self.root / "bench-shared"

    def prepare(self) -> dict[str, Any]:
        """Make the lock of a 1 GB image, its layers in the store, and its layout; gives what `--json` says."""
        place, environment = self.place, self.root / "env"
        tell("sharing: an image of 1 GB")
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        place.make_venv(environment)
        where = ("--python", environment, "--link-mode=copy", "--no-deps")
        place.uv("pip", "install", "--quiet", *where, "--requirement", place.requirements)
        known = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file()) // 2
        wheels = [self._ballast(number) for number in range(max(1, (_WHOLE - known) // _PIECE + 1))]
        place.uv("pip", "install", "--quiet", *where, *wheels)
        for wheel in wheels:
            wheel.unlink()
        place.envcap("snapshot", environment, "--name", "bench-shared", "--output", self.root, "--store", place.store)
        how = ("--record", "--output", self.root / "layout", "--store", place.store, "--json")
        image: dict[str, Any] = json.loads(place.envcap("rebuild", self.lock, *how).output)
        total = sum(row["size"] for row in image["layers"])
        self.facts.append(f"image that is shared: {len(image['layers'])} layers, {size(total)}")
        return image

    def measure(self) -> list[str]:
        """Push, push again, and take; gives a row for each."""
        skopeo, place, image = shutil.which("skopeo"), self.place, self.prepare()
        if skopeo is None:
            raise StepError("no skopeo in PATH")
        pushes, copies, again, taken, pulls, fetched = [], [], [], [], [], []
        for number in range(RUNS):
            tell(f"sharing: push, skopeo copy, and back again, {number + 1} of {RUNS}")
            with registry(place) as address:
                settle()
                target = f"docker://{address}/bench/copy:1"
                source = f"oci:{self.root / 'layout'}"
                copies.append(run([skopeo, "copy", "--quiet", "--dest-tls-verify=false", source, target]).seconds)
            with registry(place) as address:
                reference = f"{address}/bench/shared:1"
                settle()
                pushes.append(self._rebuild("--push", reference, store=place.store))
                again.append(self._rebuild("--push", reference, store=place.store))
                settle()
                empty = self.root / "store-empty"
                shutil.rmtree(empty, ignore_errors=True)
                where = ("--from", reference, "--output", self.root / "taken")
                taken.append(self._rebuild(*where, store=empty, manifest=image["manifest"]))
                settle()
                copied = f"oci:{self.root / 'fetched'}"
                shutil.rmtree(self.root / "fetched", ignore_errors=True)
                command = [skopeo, "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", copied]
                fetched.append(run(command).seconds)
                settle()
                pulls += self._pull(reference)
        push = f"{seconds(pushes)}; skopeo: {seconds(copies)}; {times(copies, pushes):.2f}x as fast"
        back = f"{seconds(taken)} (skopeo copy to a layout: {seconds(fetched)})"
        pull = "docker pull not measured: no engine answers"
        if pulls:
            pull = f"docker pull: {seconds(pulls)}; {times(pulls, taken):.2f}x as fast"
            pull += f" {verdict(met=times(pulls, taken) >= 1)}"
        return [
            f"{push} {verdict(met=times(copies, pushes) >= 1)}",
            f"{seconds(again)} {verdict(met=statistics.median(again) < 1)}",
            f"{back}; {pull}",
        ]

    def _rebuild(self, *options: str | Path, store: Path, manifest: str = "") -> float:
        """Rebuild without any index; gives seconds."""
        built = self.place.envcap("rebuild", self.lock, "--store", store, "--json", *options)
        answer = json.loads(built.output)
        if answer["level"] != "manifest" or (manifest and answer["manifest"] != manifest):
            raise StepError("the image is not the one that was recorded")
        return built.seconds

    def _pull(self, reference: str) -> list[float]:
        try:
            docker = find_docker()
        except StepError:
            return []
        try:
            return [docker.run("pull", "--quiet", reference).seconds]
        except StepError:
            return []  # the engine went away: the other figures are worth having
        finally:
            with suppress(StepError):
                docker.run("image", "rm", "--force", reference)

    def _ballast(self, number: int) -> Path:
        """Make a wheel of bytes that no compressor makes smaller."""
        name = f"ballast{number}"
        path = self.root / f"{name}-1.0-py3-none-any.whl"
        info = f"{name}-1.0.dist-info"
        texts = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            for part in range(10):
                wheel.writestr(f"{name}/{part}.bin", os.urandom(_PIECE // 10))
            for member, text in texts.items():
                wheel.writestr(member, text)
        return path
