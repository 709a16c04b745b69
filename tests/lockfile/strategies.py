"""Hypothesis strategies for locks: everything that `check_lockfile` accepts, with nasty but legal text."""

import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from envcap.cpu import LEVELS
from envcap.gpu.model import GpuMachine, GpuStack
from envcap.lockfile.check import INTERPRETERS, KINDS, ORIGINS, PROOFS, SOURCES
from envcap.lockfile.check_conda import NOARCH
from envcap.lockfile.check_content import CHANGES
from envcap.lockfile.model import (
    NO_INTERPRETER,
    Artifact,
    Blas,
    CapturedFile,
    CondaPackage,
    Expected,
    ImageSettings,
    Interpreter,
    LockedEnvironment,
    Lockfile,
    Package,
    Patch,
    Session,
    Source,
    SourceArchive,
    SystemPackage,
)
from envcap.lockfile.virtual import required_virtual
from envcap.variables import VARIABLES, reduce_value
from tests.lockfile.gpu_strategies import gpu_machines, gpu_stacks

T = TypeVar("T")

PLATFORMS = ("linux/amd64", "linux/arm64")
HEX = "0123456789abcdef"


def texts(max_size: int = 20) -> SearchStrategy[str]:
    """One line of any Unicode: quotes, backslashes, `#`, `]]`, `'''`, astral characters."""
    nasty = st.sampled_from(
        ['"', '"""', "'''", "\\", "#", "]]", "a = 1", "${HOME}", "\u2028", "\x85", "é", "\U0001d538", "a.b"]
    )
    plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=max_size)
    return plain | st.lists(nasty, max_size=4).map("".join)


def sha256s() -> SearchStrategy[str]:
    # One drawn integer, not 64 characters: it is quicker, and shrinks as well.
    return st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")


def digests() -> SearchStrategy[str]:
    return sha256s().map(lambda text: f"sha256:{text}")


def sizes() -> SearchStrategy[int]:
    return st.integers(0, 1 << 40)


def names() -> SearchStrategy[str]:
    return st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8) | st.sampled_from(
        ["ruamel-yaml", "nvidia-cublas-cu12", "a-b-c"]
    )


def versions() -> SearchStrategy[str]:
    number = st.integers(0, 99)
    plain = st.tuples(number, number).map(lambda pair: f"{pair[0]}.{pair[1]}")
    return plain | st.sampled_from(["2.1.0+cu118", "1!2.0", "3.0rc1", "1.0.post1.dev2", "2004d", "0.1-1"])


def paths() -> SearchStrategy[str]:
    part = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=8)
    legal = part.filter(lambda name: name not in {".", ".."} and not name.startswith(".wh."))
    return st.lists(legal, min_size=1, max_size=3).map("/".join)


def rows(
    values: SearchStrategy[T], key: Callable[[T], str | tuple[str, ...]], *, min_size: int = 0, max_size: int = 3
) -> SearchStrategy[tuple[T, ...]]:
    """Sorted, unique rows."""
    unique = st.lists(values, min_size=min_size, max_size=max_size, unique_by=key)
    return unique.map(lambda items: tuple(sorted(items, key=key)))


def artifacts() -> SearchStrategy[Artifact]:
    file = st.tuples(names(), versions()).map(lambda pair: f"{pair[0]}-{pair[1]}-py3-none-any.whl")
    return st.builds(
        Artifact,
        platform=st.sampled_from(PLATFORMS),
        source=st.sampled_from(["pypi", "url", "captured", "download.example.org-whl-cu118"]),
        file=file,
        size=sizes(),
        sha256=sha256s(),
        url=st.just("") | st.just("https://files.example.org/a.whl"),
    )


def patches() -> SearchStrategy[Patch]:
    kept = st.sampled_from(sorted(CHANGES - {"deleted"}))
    return st.one_of(
        st.builds(Patch, path=paths(), change=kept, sha256=sha256s(), size=sizes(), executable=st.booleans()),
        st.builds(Patch, path=paths(), change=kept, target=texts().filter(bool)),
        st.builds(Patch, path=paths(), change=st.just("deleted")),
    )


def packages() -> SearchStrategy[Package]:
    return st.builds(
        Package,
        name=names(),
        version=versions(),
        requested=st.booleans(),
        origin=st.sampled_from(sorted(ORIGINS)),
        proof=st.sampled_from(sorted(PROOFS)),
        commit=st.just("") | st.text(HEX, min_size=40, max_size=40),
        branch=texts(),
        uncommitted=st.integers(0, 9),
        url=texts(),
        sdist=st.just(SourceArchive()) | st.builds(SourceArchive, file=names(), sha256=sha256s(), url=texts()),
        artifacts=rows(artifacts(), lambda row: row.platform, min_size=1, max_size=2),
        patches=rows(patches(), lambda row: row.path, max_size=2),
    )


def conda_packages() -> SearchStrategy[CondaPackage]:
    made: dict[str, SearchStrategy[object]] = {
        "captured": st.just("files"),
        "made_sha256": sha256s(),
        "made_size": sizes(),
    }
    forms: tuple[dict[str, SearchStrategy[object]], ...] = ({}, {"captured": st.just("archive")}, made)
    return st.one_of(*(_conda_packages(captured) for captured in forms))


def _conda_packages(captured: Mapping[str, SearchStrategy[object]]) -> SearchStrategy[CondaPackage]:
    return st.builds(
        CondaPackage,
        name=names() | st.sampled_from(["_libgcc_mutex", "r-base", "libstdcxx-ng"]),
        version=st.sampled_from(["1.2.3", "2024a", "0.1_0", "1!2.0+local"]),
        build=st.sampled_from(["0", "h4ab18f5_1", "py311h9547e67_0", "conda_forge"]),
        build_number=st.integers(0, 2000),
        channel=st.sampled_from(["conda-forge", "pkgs/main", "nvidia/label/cuda-12.1"]),
        subdir=st.sampled_from(["linux-64", "linux-aarch64", "noarch"]),
        file=st.sampled_from(["x-1-0.conda", "_x-1!2-h1_0.tar.bz2"]),
        size=sizes(),
        sha256=sha256s(),
        md5=st.just("") | st.text(HEX, min_size=32, max_size=32),
        **captured,
        noarch=st.sampled_from(sorted(NOARCH)),
        requested=st.lists(texts(), max_size=2, unique=True).map(sorted).map(tuple),
        depends=st.lists(texts() | wishes(), max_size=3).map(tuple),
        constrains=st.lists(texts() | wishes(), max_size=2).map(tuple),
        patches=rows(patches(), lambda row: row.path, max_size=2),
    )


def wishes() -> SearchStrategy[str]:
    """What a package may ask of a machine."""
    return st.sampled_from(["__glibc >=2.17,<3.0.a0", "__glibc >=2.28", "__cuda", "__cuda >=12", "__archspec 1 m"])


def system_packages() -> SearchStrategy[SystemPackage]:
    return st.builds(
        SystemPackage,
        name=st.sampled_from(["libc6", "libstdc++6", "g++", "libgl1", "zlib1g"]),
        version=st.sampled_from(["2.36-9+deb12u9", "1:1.2.13.dfsg-1", "12.2.0-14~bpo1"]),
        architecture=st.sampled_from(["amd64", "arm64", "all"]),
        platform=st.sampled_from(PLATFORMS),
        source=st.just("debian"),
        file=paths(),
        size=sizes(),
        sha256=sha256s(),
        because=st.lists(texts(), max_size=2).map(tuple),
    )


def captured_files() -> SearchStrategy[CapturedFile]:
    file = st.builds(CapturedFile, path=paths(), sha256=sha256s(), size=sizes(), executable=st.booleans())
    return file | st.builds(CapturedFile, path=paths(), target=texts().filter(bool))


def interpreters() -> SearchStrategy[Interpreter]:
    return st.builds(
        Interpreter,
        implementation=st.sampled_from(["cpython", "pypy"]),
        version=st.sampled_from(["3.11.7", "3.8.20", "3.14.0rc2", "3.13.0+"]),
        build=texts(),
        soabi=st.just("cpython-311-x86_64-linux-gnu"),
        origin=st.sampled_from(sorted(INTERPRETERS)),
        home=st.sampled_from(["usr", "opt/python"]),
        artifacts=rows(artifacts(), lambda row: row.platform, max_size=1),
    )


def sources() -> SearchStrategy[Source]:
    return st.builds(
        Source,
        name=names(),
        kind=st.sampled_from(sorted(SOURCES)),
        suite=st.sampled_from(["", "bookworm"]),
        release=st.integers(0, 2**33 - 1),
        signature=st.sampled_from(["", "verified", "unchecked"]),
        snapshot=texts(),
        url=texts(),
    )


def expectations() -> SearchStrategy[Expected]:
    return st.builds(
        Expected,
        platform=st.sampled_from(PLATFORMS),
        image_id=digests(),
        manifest=st.just("") | digests(),
        compressor=st.sampled_from(["", "splice+libdeflate-6"]),
        diff_ids=st.lists(digests(), max_size=2).map(tuple),
    )


def image_settings() -> SearchStrategy[ImageSettings]:
    variable = st.text(string.ascii_letters + "_", min_size=1, max_size=6)
    return st.builds(
        ImageSettings,
        epoch=st.integers(0, 2**33 - 1),
        env=st.dictionaries(variable, texts(), max_size=2),
        user=texts(),
        workdir=texts(),
        entrypoint=st.lists(texts(), max_size=2).map(tuple),
        cmd=st.lists(texts(60), max_size=3).map(tuple),
        labels=st.dictionaries(texts(), texts(), max_size=2),
    )


def blas_rows() -> SearchStrategy[tuple[Blas, ...]]:
    row = st.builds(
        Blas,
        library=names(),
        provider=names(),
        file=texts(),
        version=texts(),
        needed_by=st.lists(names(), max_size=2).map(tuple),
    )
    return rows(row, lambda row: (row.provider, row.file), max_size=2)


def sessions() -> SearchStrategy[Session]:
    """Sessions with values as they are recorded, whatever the variables held."""
    values = texts() | st.sampled_from(["4", "C.UTF-8", "/a:/prefix/lib::", ":4096:8", "--x=/home/me"])
    raw = st.dictionaries(st.sampled_from(sorted(VARIABLES)), values, max_size=3)
    return st.builds(
        Session,
        variables=raw.map(lambda table: {name: reduce_value(name, table[name], roots=("/prefix",)) for name in table}),
        system_blas=texts(),
        gpu=st.just(GpuMachine()) | gpu_machines(),
        virtual=st.dictionaries(
            st.sampled_from(["__archspec", "__cuda", "__glibc"]), st.sampled_from(["2.36", "1 x86_64_v3"]), max_size=2
        ),
    )


def lockfiles() -> SearchStrategy[Lockfile]:
    """Whole locks, with and without Python."""
    plain = locks_with_python() | locks_with_python().map(without_python)
    return plain | plain.map(lambda lock: replace(lock, virtual=required_virtual(lock.conda)))


def without_python(lock: Lockfile) -> Lockfile:
    """Take what is Python's out of a lock; one of conda's packages is left."""
    rows = tuple(row for row in lock.conda if row.noarch != "python" and row.name != "python")
    environment = replace(lock.environment, kind="conda", markers={})
    bare = replace(lock, environment=environment, interpreter=NO_INTERPRETER, packages=(), conda=rows)
    return bare if rows else lock


def locks_with_python() -> SearchStrategy[Lockfile]:
    """Whole locks of an interpreter."""
    return st.builds(
        Lockfile,
        name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True),
        recipe=st.integers(1, 9),
        environment=st.builds(
            LockedEnvironment,
            kind=st.sampled_from(sorted(KINDS)),
            newest_upload=st.sampled_from(["", "2024-12-04T00:00:00Z"]),
            system_site_packages=st.booleans(),
            markers=st.dictionaries(st.sampled_from(["sys_platform", "os_name"]), texts(), max_size=2),
            blas=blas_rows(),
            cpu=st.sampled_from(["", *LEVELS]),
        ),
        interpreter=interpreters(),
        sources=rows(sources(), lambda row: row.name, max_size=2),
        packages=rows(packages(), lambda row: (row.name, row.version)),
        conda=rows(conda_packages(), lambda row: row.name),
        system=rows(system_packages(), lambda row: (row.platform, row.name, row.architecture)),
        captured=rows(captured_files(), lambda row: row.path),
        gpu=st.just(GpuStack()) | gpu_stacks(),
        image=image_settings(),
        session=sessions(),
        expected=rows(expectations(), lambda row: row.platform, max_size=2),
    )
