"""Where the entries of a layer come from: the pinned artifacts, or the live environment."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, assert_never

from envcap.archives.access import FileReader
from envcap.archives.zip import open_zip
from envcap.build.conda_layer import (
    conda_key,
    conda_layer_entries,
    live_conda_key,
    live_layer_entries,
    root_key,
)
from envcap.build.debian import system_entries
from envcap.build.live import live_package_entries, pythons_named, spellings, unowned_entry
from envcap.build.materials import Artifacts
from envcap.build.package import RECORD_PROOFS, TREE_SUFFIX, environment_entry, package_entries, symlink_entry
from envcap.build.reroot import reroot
from envcap.canonical import rows_hash
from envcap.entry import Entry
from envcap.environment import Distribution, Environment
from envcap.errors import BuildError
from envcap.files import FileContent
from envcap.interpreter import captured_entries, standalone_entries
from envcap.lockfile.model import Package
from envcap.plan import (
    CondaLayer,
    EnvironmentLayer,
    FilesLayer,
    InterpreterLayer,
    LayerPlan,
    PackagesLayer,
    SystemLayer,
    artifact_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactMaterials:
    """Layers from what the lock pins: what `rebuild` builds from.

    Attributes:
        artifacts: Gives the pinned bytes.
        scratch: Folder for unpacked Debian packages while a layer is written.
    """

    artifacts: Artifacts
    scratch: Path

    def key(self, layer: LayerPlan) -> Mapping[str, object]:
        """Name a layer by the hashes of its artifacts and patches."""
        match layer:
            case SystemLayer():
                hashes: object = sorted(package.sha256 for package in layer.packages)
                return {"kind": "system", "architecture": layer.architecture, "debs": hashes}
            case InterpreterLayer():
                origin = layer.interpreter.origin
                return {"kind": "interpreter", "origin": origin, "artifact": layer.artifact.sha256}
            case PackagesLayer():
                rows = [_package_key(package, layer.platform) for package in layer.packages]
                return {"kind": "packages", "python": layer.layout.feature, "packages": rows} | root_key(layer)
            case CondaLayer():
                return conda_key(layer)
            case FilesLayer():
                files = [[file.path, file.sha256, file.executable, file.target] for file in layer.files]
                return {"kind": "files", "files": files} | root_key(layer)
            case EnvironmentLayer():
                raise BuildError("The environment's layer has no artifacts")
            case _:
                assert_never(layer)

    def entries(self, layer: LayerPlan, stack: ExitStack) -> list[Entry]:
        """Open the artifacts of a layer and give their entries."""
        match layer:
            case SystemLayer():
                return self._system(layer, stack)
            case InterpreterLayer():
                read = captured_entries if layer.interpreter.origin == "captured" else standalone_entries
                archive = stack.enter_context(self.artifacts.artifact(layer.artifact).open("rb"))
                return read(archive, spool=self._spool(stack))
            case PackagesLayer():
                found = [entry for package in layer.packages for entry in self._package(package, layer, stack)]
                return reroot(found, layer.root)
            case CondaLayer():
                return conda_layer_entries(layer, self.artifacts, self._spool(stack), stack)
            case FilesLayer():
                found = [
                    self._file(file.path, file.sha256, file.executable, file.target, file.size) for file in layer.files
                ]
                return reroot(found, layer.root)
            case EnvironmentLayer():
                raise BuildError("The environment's layer has no artifacts")
            case _:
                assert_never(layer)

    def _spool(self, stack: ExitStack) -> BinaryIO:
        return stack.enter_context(tempfile.TemporaryFile(dir=self.scratch))

    def _system(self, layer: SystemLayer, stack: ExitStack) -> list[Entry]:
        debs = [
            (package.file.rpartition("/")[2], stack.enter_context(FileReader(self.artifacts.deb(package))))
            for package in layer.packages
        ]
        # One spool a thread: lzma releases the GIL.
        spools = [self._spool(stack), self._spool(stack)]
        return system_entries(debs, architecture=layer.architecture, spools=spools)

    def _package(self, package: Package, layer: PackagesLayer, stack: ExitStack) -> list[Entry]:
        artifact = artifact_of(package, layer.platform)
        reader = stack.enter_context(FileReader(self.artifacts.artifact(artifact)))
        archive = open_zip(reader, name=artifact.file)
        return package_entries(archive, package, file=artifact.file, layout=layer.layout, blobs=self.artifacts)

    def _file(self, path: str, sha256: str, executable: bool, target: str, size: int) -> Entry:  # noqa: FBT001
        if target:
            return symlink_entry(path, target, "unowned")
        content = FileContent(path=self.artifacts.blob(sha256), size=size)
        return environment_entry(path, executable=executable, content=content, owner="unowned")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMaterials:
    """Packages and unowned files from the live environment, the rest from artifacts: what `snapshot` computes with.

    Attributes:
        environment: The scan.
        artifacts: For OS packages and the interpreter.
        normalise: Project name to the lock's spelling (PEP 503).
    """

    environment: Environment
    artifacts: ArtifactMaterials
    normalise: Callable[[str], str]

    def key(self, layer: LayerPlan) -> Mapping[str, object]:
        """Name a layer by the content of its live files."""
        match layer:
            case PackagesLayer():
                return {
                    "kind": "live",
                    "python": layer.layout.feature,
                    # Scripts are mapped by the prefix that they name.
                    "prefixes": sorted(prefix.hex() for prefix in spellings(self.environment.prefix)),
                    "packages": [self._key(package, layer.platform) for package in layer.packages],
                } | root_key(layer)
            case CondaLayer():
                return live_conda_key(layer, self.environment)
            case _:
                return self.artifacts.key(layer)

    def entries(self, layer: LayerPlan, stack: ExitStack) -> list[Entry]:
        """Give the entries of the live files."""
        match layer:
            case PackagesLayer():
                found = [entry for package in layer.packages for entry in self._package(package, layer.platform)]
                return reroot(found, layer.root)
            case CondaLayer():
                return live_layer_entries(layer, self.environment)
            case FilesLayer():
                wanted = {file.path for file in layer.files}
                found = [
                    unowned_entry(file, prefix=self.environment.prefix)
                    for file in self.environment.unowned
                    if file.path in wanted
                ]
                return reroot(found, layer.root)
            case _:
                return self.artifacts.entries(layer, stack)

    def _key(self, package: Package, platform: str) -> object:
        live = self._distribution(package)
        left_out = _left_out(package)
        files = [[file.path, file.sha256, file.mode, file.target] for file in live.files if file.path not in left_out]
        pythons = sorted({python.hex() for file in live.files for python in pythons_named(file)})
        points = [[point.name, point.value] for point in live.entry_points]
        is_tree = artifact_of(package, platform).file.endswith(TREE_SUFFIX)
        return [package.name, live.directory, is_tree, rows_hash(files), points, pythons]

    def _package(self, package: Package, platform: str) -> list[Entry]:
        return live_package_entries(
            self._distribution(package),
            prefix=self.environment.prefix,
            left_out=_left_out(package),
            owner=package.name,
            is_tree=artifact_of(package, platform).file.endswith(TREE_SUFFIX),
        )

    def _distribution(self, package: Package) -> Distribution:
        for distribution in self.environment.distributions:
            if self.normalise(distribution.name) == package.name and distribution.version == package.version:
                return distribution
        raise BuildError(f"{package.name} {package.version} is in the lock, but not in the live environment")


def _left_out(package: Package) -> frozenset[str]:
    return frozenset(patch.path for patch in package.patches if patch.change == "deleted")


def _package_key(package: Package, platform: str) -> object:
    artifact = artifact_of(package, platform)
    patches = [[patch.path, patch.change, patch.sha256, patch.executable, patch.target] for patch in package.patches]
    # A RECORD that is believed and one that is not give different last layers: they must not share a result.
    return [package.name, artifact.file, artifact.sha256, package.proof in RECORD_PROOFS, patches]
