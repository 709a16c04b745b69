"""Closing by need: libraries that somebody loads, with what these load, not all that their packages depend on.

A package chosen for a soname is followed in two ways only:

1. to the packages that hold the sonames which its own ELF files need (DT_NEEDED), and
2. to packages of its own source that it depends on: its data, its plugins (`libx11-6` -> `libx11-data`).

What else it depends on is for other uses of it. So `libGL.so.1` costs libgl1, libglvnd0 and libglx0, not Mesa's
drivers with LLVM: a server has its own, and opencv loads libGL without drawing (images.md §3.2: 22 packages and
4 MB in place of 62 and 58 MB).

Which package holds a soname is told, in this order, by: what is chosen already; for a Debian package's own needs
the packages it depends on (dpkg-shlibdeps wrote them there); Debian's naming rule (policy §8.1); the suite's
`Contents`. Every answer is checked against the files of the .deb itself.
"""

import re
from collections.abc import Iterator
from typing import Final

from envcap.environment import ElfNeed
from envcap.errors import MissingArtifactError, SourceError
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.lock.debian_closure import followed
from envcap.lock.debian_deb import DebFacts, ReadDeb
from envcap.lock.debian_rows import row_of_release
from envcap.lock.debian_selection import Selection, clauses_of
from envcap.sources.debian_index import DebianPackage, library_key

_SONAME: Final = re.compile(r"(?P<stem>lib.+?)\.so\.(?P<version>.+)\Z")
_VERSIONED: Final = re.compile(r"(?P<stem>lib.+)-(?P<version>[0-9.]+)\.so\Z")
_DRIVER: Final = re.compile(
    r"lib(?:cuda|nvcuvid|nvoptix|cudadebugger|nvidia-[a-z0-9-]+|[A-Za-z0-9]+_nvidia|vdpau_nvidia)\.so(?:\.|\Z)"
)
_NAMED: Final = 4
_PREFERRED: Final = ("required", "important")


def is_driver_library(soname: str) -> bool:
    """Tell whether a library comes with the host's GPU driver: it must match the kernel's, so no image holds it."""
    return _DRIVER.match(soname) is not None


class NeedResolver:
    """Adds the packages that hold needed sonames to a selection.

    Attributes:
        findings: What is odd about the packages that were read.
    """

    def __init__(self, selection: Selection, read_deb: ReadDeb, *, platform: str) -> None:
        self.findings: list[Finding] = []
        self._unknown: dict[str, dict[str, str]] = {}
        self._selection = selection
        self._whole = frozenset(selection.chosen)
        self._read_deb = read_deb
        self._platform = platform
        self._holders: dict[str, str] = {}
        self._unread = sorted(selection.chosen)

    def add(self, need: ElfNeed) -> None:
        """Add the package that holds a soname, and what it needs in turn.

        Raises:
            SystemPackageError: An index or a package is malformed.
            SourceError: A package can't be fetched.
        """
        if is_driver_library(need.soname):
            return
        package = self._find(need.soname, None)
        needed_by = need.needed_by[0] if need.needed_by else "?"
        if package is None:
            self._unknown.setdefault(needed_by.partition("/")[0], {})[need.soname] = needed_by
            return
        if package.name not in self._whole:
            self._add(package, f"{need.soname} needed by {needed_by}")

    def unknown(self) -> Iterator[Finding]:
        """Name the sonames that no package holds; a package with a variant for each toolkit needs dozens."""
        for user, sonames in sorted(self._unknown.items()):
            names, path = sorted(sonames), sonames[min(sonames)]
            what, who = (names[0], path) if len(names) == 1 else (f"{len(names)} libraries: {few(names, _NAMED)}", user)
            message = f"No package of Debian {self._selection.suite.name} holds {what}, which {who} needs"
            yield Finding(code="soname-unknown", message=message, path=path)

    def _add(self, package: DebianPackage, reason: str) -> None:
        pending = [(package, reason)]
        while pending:
            package, reason = pending.pop()
            if package.name in self._whole or not self._selection.add(package, reason):
                continue
            self._note_provided(package)
            reason = f"dependency of {package.name}"
            pending.extend((found, reason) for found in reversed(list(self._follow(package))))

    def _follow(self, package: DebianPackage) -> Iterator[DebianPackage]:
        for clause in followed(clauses_of(package)):
            found = self._selection.find(clause)
            if found is not None and found.source == package.source:
                yield found
        for soname in self._facts(package).needed:
            found = self._find(soname, package)
            if found is not None:
                yield found
            elif not is_driver_library(soname):
                self.findings.append(
                    Finding(
                        code="soname-unknown",
                        message=f"No package of Debian {self._selection.suite.name} holds {soname},"
                        f" which its package {package.name} needs",
                        level=FindingLevel.NOTE,
                    )
                )

    def _find(self, soname: str, owner: DebianPackage | None) -> DebianPackage | None:
        # Packages chosen whole are read when something is needed at all: they are needed for the image anyway.
        while self._unread:
            self._note_provided(self._selection.chosen[self._unread.pop(0)])
        if name := self._holders.get(soname):
            return self._selection.chosen[name]
        for package in self._candidates(soname, owner):
            facts = self._facts(package)
            if soname in facts.provided or (soname in facts.private and self._may_hide(soname, package, owner)):
                return package
        return None

    def _may_hide(self, soname: str, package: DebianPackage, owner: DebianPackage | None) -> bool:
        """Accept a library outside the linker's folders from a package that is named after it, or depended on.

        The first is a library with alternatives (`libblas3`), the second is found by its user's RUNPATH.
        """
        return owner is not None or library_key(package.name) == policy_key(soname)

    def _candidates(self, soname: str, owner: DebianPackage | None) -> Iterator[DebianPackage]:
        key = policy_key(soname)
        if owner is not None:
            found = [package for clause in clauses_of(owner) if (package := self._selection.find(clause))]
            yield from sorted(found, key=lambda package: library_key(package.name) != key)
        for name in self._selection.suite.library_packages(key) if key else ():
            yield from self._newest(name)
        try:
            contents = self._selection.suite.contents()
        except SourceError as error:
            self._note_contents(error)
            return
        holders = contents.holders(soname)
        for name in sorted(holders, key=self._rank) if len(holders) > 1 else holders:  # ranking reads the whole index
            yield from self._newest(name)

    def _newest(self, name: str) -> Iterator[DebianPackage]:
        chosen = self._selection.chosen.get(name)
        package = chosen or next(self._selection.candidates(name), None)
        if package is not None:
            yield package

    def _rank(self, name: str) -> tuple[bool, bool, int, str]:
        """Order packages that hold the same soname: chosen, vital, most used by other packages, name."""
        package = next(self._newest(name), None)
        vital = package is not None and package.priority in _PREFERRED
        return (name not in self._selection.chosen, not vital, -self._selection.suite.dependents(name), name)

    def _facts(self, package: DebianPackage) -> DebFacts:
        return self._read_deb(row_of_release(package, self._selection.suite.releases, platform=self._platform))

    def _note_provided(self, package: DebianPackage) -> None:
        for soname in self._facts(package).provided:
            self._holders.setdefault(soname, package.name)

    def _note_contents(self, error: SourceError) -> None:
        what = "is missing" if isinstance(error, MissingArtifactError) else "is damaged"
        finding = Finding(
            code="contents-unavailable",
            message=f"The mirror's list of files of Debian {self._selection.suite.name} {what}:"
            " libraries are found by the names of their packages only",
        )
        if finding not in self.findings:
            self.findings.append(finding)


def policy_key(soname: str) -> str:
    """Reduce a soname to the `library_key` of the package that Debian policy §8.1 names after it; empty if none.

    `libfoo.so.2` -> `libfoo2`, `libfoo-2.4.so` -> `libfoo-2.4`.
    """
    match = _SONAME.match(soname) or _VERSIONED.match(soname)
    return library_key(match["stem"] + match["version"]) if match else ""
