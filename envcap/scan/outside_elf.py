"""What the binaries of project folders need from the operating system: an extension that an editable was built with."""

from dataclasses import replace
from pathlib import Path

from envcap.elf_reader import MAGIC
from envcap.environment import ElfFacts, ElfNeed, Environment
from envcap.scan.elf import ElfSource, find_interpreter_elfs, read_elf_facts


def add_outside_elf(environment: Environment) -> Environment:
    """Add to an environment's needs those of the files that editable installs brought into it."""
    files = [file for one in environment.distributions for file in one.files]
    sources = [
        ElfSource(path=file.path, location=file.source, sha256=file.sha256)
        for file in files
        if file.source and _is_elf(Path(file.source))
    ]
    if not sources:
        return environment
    # Any file of the environment may be the library that they need, under its own name.
    names = [file.path for file in (*files, *environment.unowned)]
    found, findings = read_elf_facts(sources, find_interpreter_elfs(environment.interpreter), aliases=names)
    fresh = tuple(finding for finding in findings if finding not in environment.findings)
    return replace(
        environment, elf=_joined(environment.elf, found, len(sources)), findings=(*environment.findings, *fresh)
    )


def _joined(one: ElfFacts, other: ElfFacts, added: int) -> ElfFacts:
    needs: dict[str, set[str]] = {}
    for need in (*one.needs, *other.needs):
        needs.setdefault(need.soname, set()).update(need.needed_by)
    return ElfFacts(
        needs=tuple(ElfNeed(soname=name, needed_by=tuple(sorted(needs[name]))) for name in sorted(needs)),
        glibc=max(one.glibc, other.glibc, key=_parts),
        glibcxx=max(one.glibcxx, other.glibcxx, key=_parts),
        files=one.files + added,
    )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
