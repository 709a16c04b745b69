"""Where the code of an editable install stands in git: commit, branch, remote, and how many files are not as committed.

`git` is asked for facts only, under settings that write nothing (no optional locks, no fsmonitor, no hooks) and keep it
from asking anybody; without git, or outside a repository, there is nothing to say. The folder is the user's own
project, whose code the environment runs, so git is told to trust it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from envcap.environment import Checkout, Distribution, Environment
from envcap.errors import ScanError
from envcap.scan.editable import is_editable, project_folder
from envcap.scan.outside import read_file
from envcap.scan.runner import Runner
from envcap.secrets.urls import scrub_origin
from envcap.wheel.layout import is_bytecode

_TIMEOUT = 20.0
_SCP = "git@"
_STATUS = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--", ".")
_STATUS_HEAD = len("XY ")


def git_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that git is run with: the user's, without those that point it to another repository."""
    own = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    return {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def add_checkouts(environment: Environment, *, run: Runner) -> Environment:
    """Say of each editable install, and of each install of a folder that is still as installed, where it stands in git.

    Args:
        environment: What `expand_editables` gave.
        run: Starts git, with `git_environ`.
    """
    return replace(
        environment, distributions=tuple(_with_checkout(row, environment, run) for row in environment.distributions)
    )


def _with_checkout(distribution: Distribution, environment: Environment, run: Runner) -> Distribution:
    direct = distribution.direct_url
    folder = project_folder(distribution) if direct and direct.kind in {"editable", "directory"} else None
    if folder is None or not folder.is_dir():
        return distribution
    if is_editable(distribution):
        # setuptools writes its metadata into the project; nobody commits it.
        sources = [Path(file.source) for file in distribution.files if file.source and ".egg-info/" not in file.path]
        # uv may have linked the metadata from its cache.
        captured = [source for source in sources if source.is_relative_to(folder)]
    else:
        captured = _installed_from(folder, distribution, environment.site_packages)
        if not captured:
            return distribution
    return replace(distribution, checkout=read_checkout(folder, captured, run=run))


def _installed_from(folder: Path, distribution: Distribution, site: str) -> list[Path]:
    """Find the files of a folder that were installed from it; none if it holds other ones by now."""
    found: list[Path] = []
    for file in distribution.files:
        name = file.path.removeprefix(f"{site}/")
        if name == file.path or name.startswith(f"{Path(distribution.directory).name}/"):
            continue
        if is_bytecode(name) or name.endswith(".so"):  # compiled from the folder's files, not one of them
            continue
        places = [folder / name, folder / "src" / name]
        same = [place for place in places if (live := read_file(name, place)) and live.sha256 == file.sha256]
        if not same:
            return []
        found += [same[0].resolve()]
    return found


def read_checkout(folder: Path, captured: Iterable[Path], *, run: Runner) -> Checkout | None:
    """Say where a project's folder stands in git; None if it is in no repository that tracks a file of it.

    Args:
        folder: The project.
        captured: Files that are captured for it.
        run: Starts git, with `git_environ`.
    """
    commit = _line(folder, "rev-parse", "--verify", "--quiet", "HEAD", run=run)
    tracked = _rows(folder, "ls-files", "-z", "--", ".", run=run)
    # `git diff` would rewrite the index; `status` heeds GIT_OPTIONAL_LOCKS. It names paths from the repository's root.
    changed = _rows(folder, *_STATUS, run=run)
    prefix = _line(folder, "rev-parse", "--show-prefix", run=run)
    if not commit or not tracked or changed is None:
        return None
    root = folder.resolve()
    untracked = {place.relative_to(root).as_posix() for place in captured if place.is_relative_to(root)} - frozenset(
        tracked
    )
    return Checkout(
        commit=commit,
        branch=_line(folder, "symbolic-ref", "--quiet", "--short", "HEAD", run=run),
        url=_remote(folder, run=run),
        uncommitted=len(untracked | {row[_STATUS_HEAD:].removeprefix(prefix) for row in changed}),
    )


def public_remote(url: str) -> str:
    """Scrub a remote; `git@host:owner/name` becomes a URL, and a folder of this machine an empty string."""
    if url.startswith(_SCP) and "://" not in url and ":" in url:
        host, _, path = url.removeprefix(_SCP).partition(":")
        url = f"ssh://git@{host}/{path.lstrip('/')}"
    if "://" not in url or url.startswith("file:"):
        return ""
    return scrub_origin(url)


def _remote(folder: Path, *, run: Runner) -> str:
    """Read the remote as it is written in the configuration (`insteadOf` may put a token into it)."""
    names = (_ask(folder, "remote", run=run) or "").split()
    for name in sorted(names, key=lambda name: (name != "origin", name)):
        url = _line(folder, "config", "--get", f"remote.{name}.url", run=run)
        if url:
            return public_remote(url)
    return ""


def _line(folder: Path, *arguments: str, run: Runner) -> str:
    line = (_ask(folder, *arguments, run=run) or "").partition("\n")[0].strip()
    return line if line.isprintable() else ""


def _rows(folder: Path, *arguments: str, run: Runner) -> list[str] | None:
    text = _ask(folder, *arguments, run=run)
    return None if text is None else [row for row in text.split("\0") if row]


def _ask(folder: Path, *arguments: str, run: Runner) -> str | None:
    """Run one command of git; None if it fails or there is no git."""
    quiet = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*")
    try:
        done = run(["git", "-C", str(folder), *quiet, *arguments], timeout=_TIMEOUT)
    except ScanError:
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
