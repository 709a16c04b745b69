"""The ELF files of an interpreter: which they are, and whether the executable will find its library in the image."""

import io
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from envcap.entry import Entry, EntryKind
from envcap.environment import InterpreterFacts
from envcap.interpreter.origin import identify_standalone
from envcap.interpreter.relocate import TARGET
from envcap.recipe import PYTHON_ROOT

LINK_FOLDER = "usr/local/lib"
"""Where the loader looks without being told: Debian's `/etc/ld.so.conf.d/libc.conf` names it."""

_STRINGS = {"DT_NEEDED": "needed", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}
_LOADERS = re.compile(r"/lib(?:64)?/ld-[\w.-]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutableNeeds:
    """What an executable asks of the dynamic loader.

    Attributes:
        libraries: DT_NEEDED, in order.
        folders: Entries of DT_RPATH or DT_RUNPATH.
        loader: PT_INTERP, or empty.
    """

    libraries: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    loader: str = ""


def interpreter_binaries(facts: InterpreterFacts) -> tuple[Path, ...]:
    """List the ELF files whose needs an image with this interpreter must meet: executable, libpython, extensions.

    An interpreter of Debian's needs none of them looked at: its packages say what they depend on.
    """
    found = {facts.executable}
    alone = identify_standalone(facts) is not None
    base = facts.base_prefix
    version = ".".join(facts.version.split(".")[:2])
    multiarch = facts.config.get("MULTIARCH", "")
    for folder in {base / "lib", base / "lib64", base / "lib" / multiarch, Path(facts.config.get("LIBDIR") or base)}:
        # A standalone build brings Tcl and Tk of its own.
        found.update(folder.glob("lib*.so*" if alone and folder == base / "lib" else f"libpython{version}*.so*"))
    for name in ("stdlib", "platstdlib"):
        if facts.paths.get(name):
            found.update(Path(facts.paths[name], "lib-dynload").glob("*.so"))
    real = {file.resolve() for file in found}
    return tuple(sorted(file for file in real if file.is_file() and _is_elf(file)))


def read_needs(data: bytes) -> ExecutableNeeds:
    """Read what an executable asks of the loader; nothing if it is no ELF file or is damaged."""
    if not data.startswith(b"\x7fELF"):
        return ExecutableNeeds()
    # pyelftools takes long to load, and only a first capture needs it.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    from elftools.elf.segments import InterpSegment  # noqa: PLC0415

    libraries: list[str] = []
    folders: list[str] = []
    loader = ""
    try:
        for segment in ELFFile(io.BytesIO(data)).iter_segments():
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    # pyelftools names the attribute after the tag.
                    value = str(getattr(tag, _STRINGS.get(tag.entry.d_tag, ""), ""))
                    if tag.entry.d_tag == "DT_NEEDED":
                        libraries.append(value)
                    elif value:
                        folders += value.split(":")
            elif isinstance(segment, InterpSegment):
                loader = str(segment.get_interp_name())
    except (ELFError, ValueError, KeyError, AttributeError, UnicodeDecodeError):
        return ExecutableNeeds()
    return ExecutableNeeds(libraries=tuple(libraries), folders=tuple(folders), loader=loader)


def has_foreign_loader(needs: ExecutableNeeds) -> bool:
    """Tell whether the kernel would start the executable with a loader that no system has (Homebrew's, Nix's)."""
    return bool(needs.loader) and _LOADERS.match(needs.loader) is None


def library_links(needs: ExecutableNeeds, paths: Iterable[str]) -> Iterator[Entry]:
    """Yield links for libraries of the interpreter that its executable would not find.

    A Python in `/usr/local` built with `--enable-shared` finds libpython because the loader searches that folder; in
    the image the library lies below `/opt/python`.

    Args:
        needs: What the relocated executable asks for.
        paths: The files of the tree, relative to its prefix.
    """
    folders = {posixpath.normpath(folder.replace("$ORIGIN", f"{TARGET}/bin")) for folder in needs.folders if folder}
    own = {path.rpartition("/")[2]: path for path in paths if "/libpython" in path}
    for name in needs.libraries:
        path = own.get(name)
        if path is not None and f"{TARGET}/{posixpath.dirname(path)}" not in folders:
            target = posixpath.relpath(f"{PYTHON_ROOT}/{path}", LINK_FOLDER)
            link = f"{LINK_FOLDER}/{name}"
            yield Entry(path=link, kind=EntryKind.SYMLINK, mode=0o777, target=target, owner="python")


def _is_elf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
