"""Which of the files that no package owns belong to an environment, and which only lie in its folder. Pure.

The rule. An environment is what an installation scheme holds: site-packages, `bin`, and the folders that packages write
their support files to (`lib`, `include`, `share`, `etc`, …). Files of nobody are captured there, whatever they are:
Python, or a program that runs beside it, would find them. Elsewhere under the prefix a file is captured too, unless it
is of a kind that is plainly somebody's work and not part of an environment (a folder that a `.pth` file adds to the
module path is code all the same, and only the second and third of these are left out there):

* projects: a folder that holds `pyproject.toml`, `setup.py`, `setup.cfg`, a lock of ours or a repository, with all
  below it (else a snapshot that is written into the environment's folder would be in the next one); also where
  the environment is the project's own folder (an editable install's code is captured with its package instead),
* notebooks, model weights and data sets, by their suffix or by the name of their top folder,
* links that lead to a place that only this machine has.

Never captured by being in the way, wherever they lie: repositories (`.git`), caches (`.cache`, `.ipynb_checkpoints`, …)
and private settings (`.env`, `.netrc`, `.ssh`, …). Never at all: libraries of an NVIDIA driver and links to them, since
a container gets those of the machine that runs it (conda's cuda-compat makes such links when it is activated).

What is left out is named by kind, number and size. `--keep PATH` captures a file or folder that is left out; what is
never captured must be named by itself, a folder around it does not bring it in. What is captured counts
against `--max-unowned`, in all, smallest first (`envcap.lock.unowned_capture`).
"""

import enum
import posixpath
from collections.abc import Iterable, Sequence

from envcap.environment import InstalledFile
from envcap.gpu.host_libraries import is_host_library


class Kind(enum.Enum):
    """What a file of nobody is; the value is what the user reads after a number of files."""

    MODULES = "in site-packages"
    SCRIPTS = "in bin"
    SUPPORT = "of support"
    OTHER = "elsewhere"
    REPOSITORY = "of version control"
    CACHE = "in caches"
    PRIVATE = "of private settings"
    PROJECT = "of projects"
    NOTEBOOK = "of notebooks"
    MODEL = "of model weights"
    DATA = "of data"
    LINK = "leading out of the environment"
    DRIVER = "of an NVIDIA driver"


CAPTURED = frozenset({Kind.MODULES, Kind.SCRIPTS, Kind.SUPPORT, Kind.OTHER})
"""The kinds that belong to an environment."""

NEVER_BY_FOLDER = frozenset({Kind.REPOSITORY, Kind.CACHE, Kind.PRIVATE})
"""The kinds that `--keep` brings in only where it names them themselves."""

NEVER = frozenset({Kind.LINK, Kind.DRIVER})
"""The kinds that nothing brings in: they mean nothing, or the wrong thing, on another machine."""

_SCHEME = frozenset({"lib", "lib64", "libexec", "include", "share", "etc", "sbin", "man"})
_REPOSITORIES = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"})
_CACHES = frozenset(
    {
        ".cache", ".ipynb_checkpoints", ".nv", ".triton", ".tox", ".nox", ".eggs", ".hypothesis", ".npm", ".keras",
        ".huggingface", ".ivy2", ".matplotlib", ".numba_cache", ".dvc", ".wandb", ".virtual_documents", ".Trash",
    }
)  # fmt: skip
_PRIVATE = frozenset(
    {
        ".env", ".envrc", ".netrc", ".pypirc", ".git-credentials", ".ssh", ".aws", ".azure", ".kube", ".gnupg",
        ".docker", ".kaggle", ".bash_history", ".python_history",
    }
)  # fmt: skip
_PROJECT_FILES = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
_LOCK = "envcap.lock"
_NOTEBOOKS = (".ipynb",)
_MODELS = (
    ".safetensors", ".gguf", ".ggml", ".pt", ".pth", ".ckpt", ".onnx", ".keras", ".tflite", ".h5", ".joblib", ".pkl",
    ".pickle", ".caffemodel", ".pdparams", ".mlmodel",
)  # fmt: skip
_DATA = (
    ".csv", ".tsv", ".parquet", ".feather", ".arrow", ".xls", ".xlsx", ".npy", ".npz", ".hdf5", ".nc", ".zarr", ".fits",
    ".db", ".sqlite", ".sqlite3", ".mat", ".rds", ".sav", ".dta", ".jsonl", ".ndjson", ".root", ".bam", ".vcf",
    ".fastq", ".nii", ".dcm", ".tif", ".tiff", ".mp4", ".wav", ".tar", ".tar.gz", ".tgz", ".zip", ".zst", ".bz2", ".7z",
)  # fmt: skip
_TOP_FOLDERS = {
    **dict.fromkeys(("notebooks", "notebook"), Kind.NOTEBOOK),
    **dict.fromkeys(("models", "model", "weights", "checkpoints"), Kind.MODEL),
    **dict.fromkeys(
        ("data", "dataset", "datasets", "nltk_data", "results", "outputs", "output", "logs", "runs", "wandb", "mlruns"),
        Kind.DATA,
    ),
}
_SHARED_ROOTS = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/etc/", "/opt/", "/dev/", "/proc/")
"""Places that mean the same on every machine; a link to another absolute place names this one."""


def project_folders(paths: Iterable[str]) -> frozenset[str]:
    """Find the folders, outside the scheme's, that are a project's root; the empty string is the prefix itself.

    Args:
        paths: All files under the prefix that nobody owns.
    """
    roots: set[str] = set()
    for path in paths:
        parts = path.split("/")
        if parts[0] in _SCHEME or parts[0] == "bin":
            continue
        # A lock in the prefix itself is a file like any other.
        if parts[-1] in _PROJECT_FILES or (parts[-1] == _LOCK and len(parts) > 1):
            roots.add("/".join(parts[:-1]))
        repository = next((number for number, part in enumerate(parts[:-1]) if part in _REPOSITORIES), None)
        # A worktree or submodule has a file `.git`.
        if repository is None and parts[-1] == ".git":
            repository = len(parts) - 1
        if repository is not None:
            roots.add("/".join(parts[:repository]))
    return frozenset(roots)


def kind_of(
    file: InstalledFile, *, prefix: str, site_packages: str, projects: frozenset[str], imported: frozenset[str]
) -> Kind:
    """Tell what a file of nobody is, by the rule in this module's docstring.

    Args:
        file: The file.
        prefix: The environment's folder, absolute.
        site_packages: Relative to the prefix.
        projects: From `project_folders`.
        imported: Folders, relative to the prefix, that path files add to the module path; empty for the prefix itself.
    """
    guarded = Kind.DRIVER if is_host_library(file.path) else guarded_kind(file.path)
    if guarded is not None:
        return guarded
    if file.target and _leads_elsewhere(file, prefix):
        return Kind.LINK
    top = file.path.partition("/")[0]
    if file.path.startswith(f"{site_packages}/") or "/site-packages/" in file.path:
        return Kind.MODULES
    if top == "bin" and "/" in file.path:
        return Kind.SCRIPTS
    if top in _SCHEME and "/" in file.path:
        return Kind.SUPPORT
    return _kind_of_work(file.path, top, projects, imported)


def is_left_out_by_name(path: str, *, site_packages: str) -> bool:
    """Tell whether a regular file of nobody is left out whatever else lies under the prefix.

    Such a file need not be read: data sets are large, and most of them are not wanted.
    """
    file = InstalledFile(path=path, mode=0, size=0, sha256="")
    nothing: frozenset[str] = frozenset()
    kind = kind_of(file, prefix="", site_packages=site_packages, projects=nothing, imported=nothing)
    return kind not in CAPTURED


def guarded_kind(path: str) -> Kind | None:
    """Tell whether a path is of a kind that is never captured by being in the way."""
    parts = path.split("/")
    for part in parts:
        if part in _REPOSITORIES:
            return Kind.REPOSITORY
        if part in _CACHES:
            return Kind.CACHE
        if part in _PRIVATE:
            return Kind.PRIVATE
    return None


def is_kept(path: str, kind: Kind, keep: Sequence[str]) -> bool:
    """Tell whether the user asked for a file that would be left out.

    Args:
        path: The file.
        kind: What it is.
        keep: Files and folders to capture, relative to the prefix.
    """
    named = [one for one in keep if path == one or path.startswith(f"{one}/")]
    if kind in NEVER_BY_FOLDER:
        return any(guarded_kind(one) is kind for one in named)
    return bool(named) and kind not in NEVER


def _kind_of_work(path: str, top: str, projects: frozenset[str], imported: frozenset[str]) -> Kind:
    lower = path.lower()
    for suffixes, kind in ((_NOTEBOOKS, Kind.NOTEBOOK), (_MODELS, Kind.MODEL), (_DATA, Kind.DATA)):
        if lower.endswith(suffixes):
            return kind
    if "/" in path and top.lower() in _TOP_FOLDERS:
        return _TOP_FOLDERS[top.lower()]
    if _is_below(path, imported):
        return Kind.MODULES
    return Kind.PROJECT if _is_below(path, projects) else Kind.OTHER


def _is_below(path: str, folders: frozenset[str]) -> bool:
    parent = posixpath.dirname(path)
    while parent not in folders:
        if not parent:
            return False
        parent = posixpath.dirname(parent)
    return True


def _leads_elsewhere(file: InstalledFile, prefix: str) -> bool:
    if file.target.startswith("/"):
        target = f"{posixpath.normpath(file.target)}/"
        return not target.startswith((f"{prefix}/", *_SHARED_ROOTS))
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.target))
    return joined == ".." or joined.startswith("../")
