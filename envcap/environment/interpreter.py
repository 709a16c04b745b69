"""What the interpreter of a live environment said of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterFacts:
    """What the isolated probe of the interpreter said (`-I -S`, standard library only). Absolute paths.

    Attributes:
        executable: The real file behind `bin/python`, symlinks resolved.
        implementation: `cpython`, `pypy`, …
        version: Full version, such as `3.11.7`.
        build: Build string, such as `main, Dec  4 2023, GCC 12.2.0`.
        soabi: `cpython-311-x86_64-linux-gnu`.
        tags: Compatible wheel tags would be too many: the interpreter and ABI tag, such as `cp311-cp311`.
        prefix: `sys.prefix` as seen by the environment's own interpreter.
        base_prefix: `sys.base_prefix`.
        paths: sysconfig paths by name (`stdlib`, `platstdlib`, `purelib`, `platlib`, `scripts`, `data`, `include`).
        markers: PEP 508 marker values; `platform_release` and `platform_version` left out (they name the machine).
        glibc: `2.36`, or empty where libc is not glibc.
        config: The sysconfig variables that tell origins apart (`CONFIG_ARGS`, `LDLIBRARY`, `LIBDIR`,
            `Py_ENABLE_SHARED`, `MULTIARCH`, `prefix`, …).
        site_folders: The base's folders of packages, in the order of its module path.
        user_site: The user's own folder of packages (PEP 370), whether or not it is there and enabled.
    """

    executable: Path
    implementation: str
    version: str
    build: str
    soabi: str
    tags: str
    prefix: Path
    base_prefix: Path
    paths: Mapping[str, str]
    markers: Mapping[str, str]
    glibc: str
    config: Mapping[str, str]
    site_folders: tuple[str, ...] = ()
    user_site: str = ""


def no_interpreter(prefix: Path) -> InterpreterFacts:
    """Give the facts of an environment without Python: nothing is known, and no folder is seen but its own."""
    return InterpreterFacts(
        executable=prefix / "bin" / "python",
        implementation="",
        version="",
        build="",
        soabi="",
        tags="",
        prefix=prefix,
        base_prefix=prefix,
        paths={},
        markers={},
        glibc="",
        config={},
    )
