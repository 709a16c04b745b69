"""The environment's own layer: `pyvenv.cfg`, the links to the interpreter, and a RECORD for each package.

It is the last layer and the only one that knows of all others: RECORD holds the hashes of the files that they brought,
and here it is seen that no two layers disagree about a path.
Source: PEP 405 (`pyvenv.cfg`), PEP 376 and PEP 627 (RECORD).
"""

from collections.abc import Iterable, Sequence

from envcap.build.layer import FileHash
from envcap.build.package import environment_entry, symlink_entry
from envcap.entry import Entry, LiteralContent
from envcap.errors import BuildError
from envcap.plan import EnvironmentLayer
from envcap.recipe import ENVIRONMENT_ROOT
from envcap.wheel.layout import Layout, record_path
from envcap.wheel.record import base64_hash

_ROOT = f"{ENVIRONMENT_ROOT}/"


def environment_entries(layer: EnvironmentLayer, files: Sequence[FileHash]) -> list[Entry]:
    """Give the entries of the last layer.

    Args:
        layer: Its plan.
        files: The regular files of all packages, in any order.

    Raises:
        BuildError: Two packages bring one path with different bytes.
    """
    check_shared_paths(files)
    python = f"/{layer.interpreter.home}/bin/python{layer.layout.python}"
    entries = [
        environment_entry("pyvenv.cfg", executable=False, content=LiteralContent(_pyvenv(layer)), owner="envcap"),
        symlink_entry("bin/python", python, "envcap"),
        symlink_entry("bin/python3", "python", "envcap"),
        symlink_entry(f"bin/python{layer.layout.python}", "python", "envcap"),
        symlink_entry("lib64", "lib", "envcap"),
    ]
    return [*entries, *record_entries(files, layer.layout)]


def record_entries(files: Iterable[FileHash], layout: Layout) -> list[Entry]:
    """Give a RECORD for each package, from its files below `ENVIRONMENT_ROOT`."""
    entries: list[Entry] = []
    packages: dict[str, list[FileHash]] = {}
    for file in files:
        packages.setdefault(file.owner, []).append(file)
    for owned in packages.values():
        dist_info = _dist_info(owned, layout)
        if dist_info:
            text = record_text(owned, dist_info=dist_info, layout=layout)
            entries.append(
                environment_entry(f"{dist_info}/RECORD", executable=False, content=LiteralContent(text), owner="envcap")
            )
    return entries


def check_shared_paths(files: Iterable[FileHash]) -> None:
    """Refuse two packages that bring one path with different bytes: the order of layers must not matter.

    A file where another package has a folder is refused too: in the upper layer it would hide all that lies below.

    Raises:
        BuildError: Names the path.
    """
    seen: dict[str, FileHash] = {}
    for file in files:
        other = seen.setdefault(file.path, file)
        if other.sha256 != file.sha256:
            raise BuildError(
                f"{other.owner} and {file.owner} both bring {file.path!r}, with different bytes",
                hint="take a new snapshot: it records which of the two the live environment holds",
            )
    folders: set[str] = set()
    for path, file in seen.items():
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            if parent in seen:
                raise BuildError(f"{seen[parent].owner} brings the file {parent!r}, but {file.owner} has {path!r}")
            folders.add(parent)
            parent = parent.rpartition("/")[0]


def record_text(files: Iterable[FileHash], *, dist_info: str, layout: Layout) -> bytes:
    """Write a RECORD: one row a file, sorted by path, LF, and its own row without hash and size."""
    rows = {
        record_path(file.path.removeprefix(_ROOT), layout=layout): f"sha256={base64_hash(file.sha256)},{file.size}"
        for file in files
    }
    rows[record_path(f"{dist_info}/RECORD", layout=layout)] = ","
    return "".join(f"{_quoted(path)},{rows[path]}\n" for path in sorted(rows)).encode()


def _pyvenv(layer: EnvironmentLayer) -> bytes:
    system = "true" if layer.system_site_packages else "false"
    return (
        f"home = /{layer.interpreter.home}/bin\n"
        f"include-system-site-packages = {system}\n"
        f"version = {layer.interpreter.version}\n"
    ).encode()


def _dist_info(files: Sequence[FileHash], layout: Layout) -> str:
    """Find a package's dist-info folder by the INSTALLER file that the recipe writes into it."""
    start = f"{_ROOT}{layout.site_packages}/"
    for file in files:
        folder, _, name = file.path.removeprefix(start).rpartition("/")
        if name == "INSTALLER" and folder.endswith(".dist-info") and "/" not in folder:
            return f"{layout.site_packages}/{folder}"
    return ""


def _quoted(path: str) -> str:
    # PEP 376: RECORD is read with the csv module's defaults.
    return '"' + path.replace('"', '""') + '"' if any(char in path for char in ',"\r\n') else path
