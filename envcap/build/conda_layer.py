"""The layers of a conda environment: those of its packages, from archives or live, and the last one."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import BinaryIO

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import conda_entries
from envcap.build.conda_live import live_conda_entries
from envcap.build.conda_record import OWNER
from envcap.build.layer import FileHash
from envcap.build.materials import Artifacts
from envcap.build.package import environment_entry
from envcap.build.records import check_shared_paths, record_entries
from envcap.build.reroot import reroot
from envcap.canonical import rows_hash
from envcap.entry import Entry, LiteralContent
from envcap.environment import CondaRecord, Environment
from envcap.errors import BuildError
from envcap.lockfile.codec import to_table
from envcap.lockfile.conda_kept import archive_name
from envcap.lockfile.model import CondaPackage
from envcap.plan import CondaLayer, EnvironmentLayer, FilesLayer, PackagesLayer
from envcap.recipe import CONDA_ROOT, ENVIRONMENT_ROOT

_HISTORY = "conda-meta/history"


def root_key(layer: PackagesLayer | FilesLayer | EnvironmentLayer) -> dict[str, object]:
    """Name the root in a layer's key where it is not the usual one."""
    return {"root": layer.root} if layer.root != ENVIRONMENT_ROOT else {}


def conda_key(layer: CondaLayer) -> Mapping[str, object]:
    """Name a layer by its rows of the lock: the record of each package holds all of them."""
    return {"kind": "conda", "python": layer.layout.feature, "packages": [to_table(row) for row in layer.packages]}


def live_conda_key(layer: CondaLayer, environment: Environment) -> Mapping[str, object]:
    """Name a layer by the content of its live files and what the records say of them."""
    rows = []
    for package in layer.packages:
        record = _record(package, environment)
        files = [[file.path, file.sha256, file.mode, file.target] for file in record.files]
        paths = [[row.path, row.kind, row.sha256, row.placeholder, row.binary] for row in record.paths]
        rows.append([to_table(package), rows_hash(files), rows_hash(paths)])
    prefixes = [prefix.encode("utf-8", "surrogateescape").hex() for prefix in environment.baked_prefixes]
    return {"kind": "live-conda", "python": layer.layout.feature, "prefixes": prefixes, "packages": rows}


def conda_layer_entries(layer: CondaLayer, artifacts: Artifacts, spool: BinaryIO, stack: ExitStack) -> list[Entry]:
    """Open the archives of a layer and give their entries.

    Raises:
        EnvcapError: An archive is missing, damaged or hostile.
    """
    entries: list[Entry] = []
    for package in layer.packages:
        reader = stack.enter_context(FileReader(artifacts.conda(package)))
        archive = open_conda(reader, name=archive_name(package), spool=spool)
        site_packages = layer.layout.site_packages
        entries += conda_entries(archive, package, site_packages=site_packages, blobs=artifacts, spool=spool)
    return entries


def live_layer_entries(layer: CondaLayer, environment: Environment) -> list[Entry]:
    """Give the entries of the live files of a layer.

    Raises:
        BuildError: A file can't be read, or changed.
    """
    return [
        entry
        for package in layer.packages
        for entry in live_conda_entries(_record(package, environment), package, environment)
    ]


def conda_environment_entries(layer: EnvironmentLayer, files: Sequence[FileHash]) -> list[Entry]:
    """Give the entries of the last layer: a RECORD for each of pip's packages, and the file that marks a conda prefix.

    Raises:
        BuildError: Two packages bring one path with different bytes.
    """
    check_shared_paths(files)
    history = environment_entry(_HISTORY, executable=False, content=LiteralContent(b""), owner="envcap")
    return reroot([*record_entries(_of_pip(files), layer.layout), history], CONDA_ROOT)


def _of_pip(files: Iterable[FileHash]) -> Iterable[FileHash]:
    for file in files:
        if not file.owner.startswith(OWNER):
            yield replace(file, path=f"{ENVIRONMENT_ROOT}/{file.path.removeprefix(f'{CONDA_ROOT}/')}")


def _record(package: CondaPackage, environment: Environment) -> CondaRecord:
    for record in environment.conda:
        if record.name == package.name and record.version == package.version:
            return record
    raise BuildError(f"conda's {package.name} {package.version} is in the lock, but not in the live environment")
