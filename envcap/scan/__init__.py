"""Scans a live environment into an `Environment`: read-only, importing and running nothing of what is in it.

Only the environment's interpreter is run, once, isolated (`envcap.scan.probe`); everything else is read from disk.
Sources: PEP 376, PEP 405, PEP 610, PEP 627, PyPA "Recording installed projects".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envcap.environment import ElfFacts, Environment, InterpreterFacts, no_interpreter
from envcap.errors import ScanError
from envcap.finding import Finding
from envcap.scan.assemble import (
    count_ignored,
    duplicate_findings,
    installed_files,
    join_distributions,
    link_findings,
    sort_findings,
)
from envcap.scan.bytecode import unchecked_bytecode
from envcap.scan.conda_owners import CONDA, SKIPPED_FOLDERS, assign_conda_owners
from envcap.scan.conda_prefix import complete_records, find_baked_prefixes
from envcap.scan.conda_records import read_conda_records
from envcap.scan.distributions import children
from envcap.scan.elf import ElfSource, InterpreterElfs, find_interpreter_elfs, read_elf_facts
from envcap.scan.files import Tree, walk_tree
from envcap.scan.furniture import BYTECODE
from envcap.scan.hashing import HashedFile, HashTree, hash_tree
from envcap.scan.installed import read_installed
from envcap.scan.layers import beyond_findings, read_layer
from envcap.scan.linked import follow_installed_links
from envcap.scan.os_packages import find_os_packages
from envcap.scan.owners import assign_owners
from envcap.scan.prefix import VirtualEnvironment, find_prefix, open_interpreter, open_prefix
from envcap.scan.probe import probe_interpreter
from envcap.scan.reader import TreeReader
from envcap.scan.runner import Runner, SubprocessRunner
from envcap.scan.sites import Beyond, visible_sites
from envcap.scan.stack import stack_layers
from envcap.scan.startup import conda_owners, note_startup_code
from envcap.scan.twins import merge_twins
from envcap.scan.unowned import is_left_out_by_name
from envcap.wheel.layout import is_bytecode, layout_of

__all__ = ["Beyond", "Progress", "Runner", "SubprocessRunner", "find_prefix", "scan_environment"]

Progress = Callable[[str, int, int], None]
"""Called with a phase (`probe`, `walk`, `metadata`, `hash`, `elf`), how much of it is done, and how much there is."""


def scan_environment(
    prefix: Path,
    *,
    run: Runner,
    progress: Progress | None = None,
    hashes: HashTree = hash_tree,
    binaries: bool = True,
    executable: Path | None = None,
    beyond: Beyond | None = None,
) -> Environment:
    """Scan the environment in the folder `prefix`.

    Args:
        prefix: Its folder, as `find_prefix` names it.
        run: Starts the environment's interpreter for the probe.
        progress: Told how far the scan is.
        hashes: Gives the hashes of its files.
        binaries: Look also into ELF files and bytecode, which only a lock needs; else `elf` stays empty.
        executable: Its interpreter, where it is a whole Python.
        beyond: What to look at beyond its own folder.

    Raises:
        ScanError: It is no environment, or its interpreter doesn't answer. Anything odd inside an
            environment is a finding instead.
    """
    tell = progress or (lambda _phase, _done, _total: None)
    place = open_interpreter(executable) if executable else open_prefix(prefix)
    is_conda, has_prefix = place.kind == CONDA, place.kind != "system"
    interpreter, tree = _probe_and_walk(place, run, tell)
    reader = TreeReader(tree)
    sites = _site_folders(tree, interpreter) if has_prefix else (_usual_site(interpreter),)
    main_site = sites[0] if sites else ""
    roots = tuple(dict.fromkeys((tree.prefix, str(prefix.absolute()), str(interpreter.prefix))))
    candidates, doubtful = _hashable(tree, main_site)
    # Hashing keeps a core busy without the GIL while RECORDs are read with it. What turns out to be ignored was
    # hashed in vain: bytecode, by far the most of it, is left out by name; data sets wait until they have an owner.
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(hashes, tree, candidates)
        tell("metadata", 0, 1)
        installed = read_installed(reader, sites, roots)
        # The records are read before the hashes are waited for: arguments are evaluated from the left.
        conda = (
            assign_conda_owners(
                reader, read_conda_records(reader, site_packages=main_site), installed, hashing.result()[0]
            )
            if is_conda
            else None
        )
        installed, ownership = conda.rest if conda else (installed, assign_owners(reader, installed))
        tell("metadata", 1, 1)
        tell("hash", 0, 1)
        every_hash, every_finding = hashing.result()
    unread = frozenset(doubtful).intersection(ownership.unowned)
    late_hash, late_finding = hashes(tree, [row for row in doubtful.items() if row[0] not in unread])
    kept = sorted(
        {path for paths in (*ownership.owned, ownership.unowned, conda.paths if conda else ()) for path in paths}
    )
    regular = [path for path in kept if not tree.files[path].is_link]
    both = {**every_hash, **late_hash}
    hashed = {path: both[path] for path in regular if path in both}
    wanted = frozenset(regular)
    hash_findings = tuple(finding for finding in (*every_finding, *late_finding) if finding.path in wanted)
    tell("hash", 1, 1)
    outside = visible_sites(
        interpreter,
        prefix=tree.prefix if has_prefix else "",
        # conda's Python is no virtual environment's: it sees the user's own packages.
        sees_base=place.system_site_packages or is_conda,
        beyond=beyond or Beyond(),
    )
    os_packages = find_os_packages(interpreter, outside, beyond or Beyond())
    layers = [
        read_layer(site, target=main_site, python=str(interpreter.base_prefix), os_packages=os_packages)
        for site in outside
    ]
    joined = join_distributions(tree, installed, ownership, hashed)
    own, twin_findings = merge_twins(joined)
    condas = conda_owners(conda.records, conda.owned, hashed) if conda else {}
    for site in sites:
        note_startup_code(reader, site, children(tree, site), own, condas)
    stack = stack_layers(own, installed_files(tree, ownership.unowned, hashed, unread), layers, target=main_site)
    # conda's interpreter is one of its packages.
    own_elfs = (
        InterpreterElfs(sources=(), bundled=None, base_prefix=place.prefix)
        if conda
        else find_interpreter_elfs(interpreter)
    )
    elf, elf_findings = _read_elf(tree, own_elfs, kept, hashed, stack.elf) if binaries else (ElfFacts(), ())
    tell("elf", 1, 1)
    distributions = stack.distributions
    findings: list[Finding] = [*tree.findings, *reader.findings, *hash_findings, *elf_findings]
    findings += [*os_packages.findings, *(one for layer in layers for one in layer.findings), *stack.findings]
    findings += beyond_findings(layers, os_packages)
    findings += unchecked_bytecode(tree.prefix, ownership.ignored.get(BYTECODE, ()) if binaries else ())
    findings += [*duplicate_findings(joined), *twin_findings, *link_findings(tree, kept)]
    return Environment(
        prefix=place.prefix if has_prefix else interpreter.prefix,
        kind=place.kind,
        interpreter=interpreter,
        distributions=distributions,
        conda=complete_records(conda, tree, hashed, distributions) if conda else (),
        baked_prefixes=find_baked_prefixes(reader, place.prefix, conda.records) if conda else (),
        unowned=stack.unowned,
        ignored=_sum(
            [count_ignored(tree, ownership, len(wanted - unread) - len(hashed)), *(one.ignored for one in layers)]
        ),
        elf=elf,
        site_packages=main_site,
        system_site_packages=place.system_site_packages,
        os_packages=os_packages.pinned,
        findings=sort_findings(findings),
    )


def _probe_and_walk(place: VirtualEnvironment, run: Runner, tell: Progress) -> tuple[InterpreterFacts, Tree]:
    """Let the interpreter start and answer while its prefix is walked."""
    tell("probe", 0, 1)
    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(_probe, place, run)
        # What a whole Python's prefix holds beside its packages belongs to the interpreter and the operating system.
        skip = SKIPPED_FOLDERS if place.kind == CONDA else frozenset()
        walked = follow_installed_links(walk_tree(str(place.prefix), skip=skip)) if place.kind != "system" else None
        interpreter = probing.result()
    tell("probe", 1, 1)
    tell("walk", 1, 1)
    return interpreter, walked or Tree(prefix=str(interpreter.prefix), files={})


def _probe(place: VirtualEnvironment, run: Runner) -> InterpreterFacts:
    return probe_interpreter(place.executable, run=run) if place.executable else no_interpreter(place.prefix)


def _hashable(tree: Tree, site: str) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """List the regular files with their sizes, in the order of their paths: those to hash, and the doubtful ones.

    Doubtful is what is only wanted if a distribution owns it.
    """
    sizes = {path: file.size for path, file in tree.files.items() if not file.is_link and not is_bytecode(path)}
    doubtful = {path: sizes[path] for path in sorted(sizes) if is_left_out_by_name(path, site_packages=site)}
    return sorted((path, size) for path, size in sizes.items() if path not in doubtful), doubtful


def _read_elf(
    tree: Tree,
    interpreter: InterpreterElfs,
    kept: list[str],
    hashed: dict[str, HashedFile],
    more: Sequence[ElfSource],
) -> tuple[ElfFacts, tuple[Finding, ...]]:
    sources = [
        ElfSource(path=path, location=tree.place(path), sha256=content.sha256)
        for path, content in hashed.items()
        if content.is_elf
    ]
    links = [path for path in kept if tree.files[path].is_link and not tree.leaves_prefix(path)]
    return read_elf_facts([*sources, *more], interpreter, aliases=links)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _usual_site(interpreter: InterpreterFacts) -> str:
    """Name the folder that an image has for packages."""
    return layout_of(interpreter.version, interpreter.soabi).site_packages


def _site_folders(tree: Tree, interpreter: InterpreterFacts) -> tuple[str, ...]:
    """Return purelib and, where it is another folder, platlib, relative to the prefix; nothing without Python."""
    found: dict[str, None] = {}
    for key in ("purelib", "platlib"):
        path = interpreter.paths.get(key)
        if path is None:
            continue
        root = next((root for root in (tree.prefix, str(interpreter.prefix)) if path.startswith(f"{root}/")), None)
        if root is None:
            raise ScanError(
                f"The interpreter's {key} is {path} (expected a folder inside {tree.prefix})",
                hint="make the environment anew: it seems to have been moved or copied",
            )
        found[tree.real_path(path[len(root) + 1 :])] = None
    return tuple(found)
