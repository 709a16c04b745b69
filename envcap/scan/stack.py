"""Lays the folders of packages that an environment sees below it: what is seen of them is what Python would import.

In the image all lie in one folder, so what a folder further ahead on the module path hides is left out here: a
distribution by its name, a module or package by its own. Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, InstalledFile
from envcap.finding import Finding, FindingLevel
from envcap.scan.elf import ElfSource
from envcap.scan.sites import Site

_MODULE_ENDINGS = (".py", ".so", ".pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one folder holds, by the paths of the image.

    Attributes:
        site: The folder.
        distributions: Sorted by name.
        unowned: Files that are nobody's.
        elf: Paths of the files that are ELF.
        ignored: How many files were left out, by reason.
        findings: What could not be taken for granted.
    """

    site: Site
    distributions: tuple[Distribution, ...] = ()
    unowned: tuple[InstalledFile, ...] = ()
    elf: frozenset[str] = frozenset()
    ignored: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers laid below each other: what the environment sees of them.

    Attributes:
        distributions: Of all layers, and of the environment itself.
        unowned: Of all layers, and of the environment itself.
        elf: ELF files of the layers that are seen.
        findings: What is hidden.
    """

    distributions: tuple[Distribution, ...]
    unowned: tuple[InstalledFile, ...]
    elf: tuple[ElfSource, ...] = ()
    findings: tuple[Finding, ...] = ()


def stack_layers(
    distributions: Sequence[Distribution], unowned: Sequence[InstalledFile], layers: Iterable[Layer], *, target: str
) -> Stack:
    """Lay layers below an environment, those further ahead on its module path on top.

    Args:
        distributions: The environment's own.
        unowned: The environment's own.
        layers: In the order of the module path.
        target: Where packages lie in the image.
    """
    own = [*(file for one in distributions for file in one.files), *unowned]
    above = _Above(target)
    above.add((canonicalize_name(one.name) for one in distributions), own)
    seen, files, elf, findings = list(distributions), list(unowned), list[ElfSource](), list[Finding]()
    for layer in layers:
        fresh = [one for one in layer.distributions if canonicalize_name(one.name) not in above.names]
        hidden = [one for one in layer.distributions if canonicalize_name(one.name) in above.names]
        if hidden:
            names = ", ".join(f"{one.name} {one.version}" for one in hidden)
            message = f"Left out, since the same is installed ahead on the module path: {names}"
            findings.append(Finding(code="distribution-hidden", message=message, level=FindingLevel.NOTE))
        visible = [replace(one, files=above.visible(one.files)) for one in fresh]
        for one, whole in zip(visible, fresh, strict=True):
            if len(one.files) < len(whole.files):
                findings.append(_partly_hidden(one, len(whole.files) - len(one.files)))
        loose = above.visible(layer.unowned)
        added = [*(file for one in visible for file in one.files), *loose]
        above.add((canonicalize_name(one.name) for one in visible), added)
        elf += [ElfSource(path=file.path, location=file.source, sha256=file.sha256) for file in _elf(layer, added)]
        seen += visible
        files += loose
    return Stack(
        distributions=tuple(sorted(seen, key=lambda one: (canonicalize_name(one.name), one.version, one.directory))),
        unowned=tuple(sorted(files, key=lambda file: file.path)),
        elf=tuple(elf),
        findings=tuple(findings),
    )


class _Above:
    """What lies ahead on the module path, and so hides what comes after it."""

    def __init__(self, target: str) -> None:
        self.names: set[str] = set()
        self._start = f"{target}/"
        self._paths: set[str] = set()
        self._modules: set[str] = set()

    def add(self, names: Iterable[str], files: Collection[InstalledFile]) -> None:
        self.names.update(names)
        self._paths.update(file.path for file in files)
        for file in files:
            first, _, rest = file.path.removeprefix(self._start).partition("/")
            # A folder without `__init__` is a portion of a namespace (PEP 420), which hides nothing.
            if file.path.startswith(self._start) and (rest.partition(".")[0] == "__init__" or _is_module(first, rest)):
                self._modules.add(first.partition(".")[0])

    def visible(self, files: Iterable[InstalledFile]) -> tuple[InstalledFile, ...]:
        return tuple(file for file in files if file.path not in self._paths and not self._is_hidden(file.path))

    def _is_hidden(self, path: str) -> bool:
        first, _, rest = path.removeprefix(self._start).partition("/")
        if not path.startswith(self._start) or not (rest or _is_module(first, rest)):
            return False
        return (first if rest else first.partition(".")[0]) in self._modules


def _is_module(first: str, rest: str) -> bool:
    return not rest and first.endswith(_MODULE_ENDINGS)


def _elf(layer: Layer, files: Iterable[InstalledFile]) -> Iterator[InstalledFile]:
    return (file for file in files if file.path in layer.elf and not file.target)


def _partly_hidden(one: Distribution, count: int) -> Finding:
    files = "1 file" if count == 1 else f"{count} files"
    message = f"{files} of {one.name} are left out, since modules ahead on the module path hide them"
    return Finding(code="module-hidden", message=message, path=one.directory, level=FindingLevel.NOTE)
