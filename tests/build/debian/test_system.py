"""The whole of the OS packages: a pure function of the packages."""

import contextlib
import os
import random
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from envcap.archives.access import FileReader
from envcap.build.debian import SystemFiles, system_entries, system_files, tree_of
from envcap.entry import Entry, EntryKind
from envcap.errors import ArchiveError, BuildError
from tests.build.debian.deb_builder import BytesReader, file, folder, link, make_deb, make_library

LIB = "lib/x86_64-linux-gnu"
DEBS = [
    (
        "libc6.deb",
        make_deb(
            {"Package": "libc6", "Version": "2.36-9+deb12u14"},
            {
                f"{LIB}/libc.so.6": file(make_library("libc.so.6"), 0o755),
                "lib64/ld-linux-x86-64.so.2": link(f"/{LIB}/ld-linux-x86-64.so.2"),
                f"{LIB}/ld-linux-x86-64.so.2": file(make_library("ld-linux-x86-64.so.2"), 0o755),
            },
        ),
    ),
    ("zlib1g.deb", make_deb({"Package": "zlib1g"}, {f"{LIB}/libz.so.1.2": file(make_library("libz.so.1"))})),
    ("base-files.deb", make_deb({"Package": "base-files"}, {"tmp": folder(0o1777), "etc/issue": file("hello")})),
    ("su.deb", make_deb({"Package": "su"}, {"bin/su": file("su", 0o4755), "tmp": folder()})),
]
DIVERTING = make_deb({"Package": "glx"}, {}, scripts={"preinst": "dpkg-divert --add --rename /usr/lib/x\n"})

# What a Python environment with graphics needs from bookworm, as images.md counts it.
REAL = shlex.split("""
libc6 libc-bin base-files base-passwd bash coreutils ncurses-base ca-certificates tzdata netbase
libssl3 openssl python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libgcc-s1 libstdc++6
gcc-12-base zlib1g libbz2-1.0 liblzma5 libffi8 libsqlite3-0 libreadline8 readline-common libtinfo6
libncursesw6 libexpat1 libuuid1 libcrypt1 libdb5.3 dash debianutils libacl1 libattr1 libgmp10
libselinux1 libopenblas0-pthread libblas3 liblapack3 libgfortran5 libquadmath0 libgl1 libglvnd0
libglx0 libx11-6 media-types sed grep findutils libpcre2-8-0
""")


@pytest.fixture
def spools() -> Iterator[Sequence[BinaryIO]]:
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as other:
        yield (one, other)


def build(debs: Sequence[tuple[str, bytes]], spools: Sequence[BinaryIO]) -> SystemFiles:
    readers = [(name, BytesReader(data)) for name, data in debs]
    return system_files(readers, architecture="amd64", spools=spools)


def described(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    return [
        (entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.target, entry.owner, read(entry))
        for entry in entries
    ]


def read(entry: Entry) -> bytes:
    return b"".join(entry.content.chunks())


def test_a_small_system_is_complete(spools: Sequence[BinaryIO]) -> None:
    found = {entry.path: entry for entry in build(DEBS, spools).entries}
    assert found["usr/bin/su"].mode == 0o4755
    assert found["tmp"].mode == 0o1777
    assert found["lib64"].target == "usr/lib64"
    assert found[f"usr/{LIB}/libz.so.1"].target == "libz.so.1.2"
    assert b"/lib/x86_64-linux-gnu/libz.so.1\0" in read(found["etc/ld.so.cache"])
    assert read(found["var/lib/dpkg/status.d/zlib1g"]).startswith(b"Version: 1.0-1\n")
    assert found["home/nonroot"].uid == 65532


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_packages_and_one_thread_give_the_same_entries(seed: int, spools: Sequence[BinaryIO]) -> None:
    shuffled = list(DEBS)
    random.Random(seed).shuffle(shuffled)
    assert described(build(shuffled, spools[: 1 + seed % 2]).entries) == described(build(DEBS, spools).entries)


def test_entries_are_sorted_distinct_and_have_their_parents(spools: Sequence[BinaryIO]) -> None:
    files = build(DEBS, spools)
    paths = [entry.path for entry in files.entries]
    assert paths == sorted(set(paths), key=str.encode)
    assert {os.path.dirname(path) for path in paths} <= {*paths, ""}  # noqa: PTH120 - paths of an image
    assert not {entry.path for entry in files.packaged} & {entry.path for entry in files.fixups}


def test_a_package_for_another_architecture_is_refused(spools: Sequence[BinaryIO]) -> None:
    debs = [("arm.deb", make_deb({"Package": "arm", "Architecture": "arm64"}, {}))]
    with pytest.raises(BuildError, match="arm is built for arm64"):
        build(debs, spools)


def test_packages_that_conflict_are_refused(spools: Sequence[BinaryIO]) -> None:
    other = ("dash.deb", make_deb({"Package": "dash"}, {"usr/bin/su": file("other")}))
    with pytest.raises(BuildError, match="dash and su both bring /usr/bin/su"):
        build([*DEBS, other], spools)


def test_a_damaged_package_is_refused_by_name(spools: Sequence[BinaryIO]) -> None:
    with pytest.raises(ArchiveError, match=r"zlib1g\.deb"):
        build([DEBS[0], (DEBS[1][0], DEBS[1][1][:-40])], spools)


def test_an_alternative_below_a_link_is_refused(spools: Sequence[BinaryIO]) -> None:
    call = "update-alternatives --install /etc/localtime/x x /usr/share/zoneinfo/Etc/UTC 5\n"
    zone = {"usr/share/zoneinfo/Etc/UTC": file("TZif")}
    with pytest.raises(BuildError, match="/etc/localtime is a symlink"):
        build([("evil.deb", make_deb({"Package": "evil"}, zone, scripts={"postinst": call}))], spools)


def test_an_alternative_does_not_replace_an_account_list(spools: Sequence[BinaryIO]) -> None:
    call = "update-alternatives --install /etc/passwd x /etc/own 5\n"
    deb = make_deb({"Package": "evil"}, {"etc/own": file("root::0:0::/:/bin/sh")}, scripts={"postinst": call})
    found = {entry.path: entry for entry in build([("evil.deb", deb)], spools).entries}
    assert found["etc/passwd"].kind is EntryKind.FILE


def test_diversions_are_findings(spools: Sequence[BinaryIO]) -> None:
    assert [finding[:28] for finding in build([("glx.deb", DIVERTING)], spools).findings] == [
        "glx: its preinst diverts a f"
    ]


def test_the_environment_names_the_bundle_only_if_there_is_one(spools: Sequence[BinaryIO]) -> None:
    ca = make_deb({"Package": "ca-certificates"}, {"usr/share/ca-certificates/mozilla/a.crt": file("A\n")})
    assert build(DEBS, spools).environment == {"LANG": "C.UTF-8"}
    assert build([*DEBS, ("ca.deb", ca)], spools).environment == {
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }


@pytest.fixture(scope="module")
def real_debs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("debs")
    if shutil.which("apt-get") is None:
        pytest.skip("no apt-get")
    run = subprocess.run(["apt-get", "download", *REAL], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"these packages of bookworm can't be had here: {run.stderr[-200:]}")
    return sorted(folder.glob("*.deb"))


def real_entries(debs: Sequence[Path], spools: Sequence[BinaryIO]) -> list[Entry]:
    with contextlib.ExitStack() as stack:
        readers = [(deb.name, stack.enter_context(FileReader(deb))) for deb in debs]
        return system_entries(readers, architecture="amd64", spools=spools)


@pytest.mark.network
def test_real_packages_make_a_sound_tree(real_debs: list[Path], spools: Sequence[BinaryIO]) -> None:
    entries = real_entries(real_debs, spools)
    tree = tree_of(entries)
    dangling = {entry.path for entry in entries if entry.kind is EntryKind.SYMLINK and tree.resolve(entry.path) is None}
    assert dangling == set()
    assert tree.entries["tmp"].mode == 0o1777
    bundle = tree.read("etc/ssl/certs/ca-certificates.crt") or b""
    assert bundle.count(b"-----BEGIN CERTIFICATE-----") == bundle.count(b"-----END CERTIFICATE-----") > 100
    assert tree.entries["usr/lib/x86_64-linux-gnu/libblas.so.3"].target.startswith("/etc/alternatives/libblas.so.3")
    assert tree.resolve("/lib/x86_64-linux-gnu/libblas.so.3") == (
        "usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3"
    )
    assert described(real_entries(real_debs[::-1], spools[:1])) == described(entries)


@pytest.mark.network
@pytest.mark.engine
@pytest.mark.slow
def test_the_packages_own_tools_find_nothing_to_do(
    real_debs: list[Path], spools: Sequence[BinaryIO], tmp_path: Path
) -> None:
    """In a root made of the entries, ldconfig and update-ca-certificates write the bytes that are already there."""
    if os.geteuid() != 0:
        pytest.skip("chroot and owners need root")
    write_root(real_entries(real_debs, spools), tmp_path)
    watched = [tmp_path / "etc/ld.so.cache", tmp_path / "etc/ssl/certs/ca-certificates.crt"]
    before = [path.read_bytes() for path in watched]
    for path in watched:
        path.unlink()
    environment = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
    for command in (["ldconfig"], ["update-ca-certificates", "--fresh"]):
        subprocess.run(["chroot", tmp_path, *command], env=environment, capture_output=True, check=True)
    assert [path.read_bytes() for path in watched] == before


def write_root(entries: Sequence[Entry], root: Path) -> None:
    for entry in entries:
        place = root / entry.path
        if entry.kind is EntryKind.SYMLINK:
            place.symlink_to(entry.target)
        elif entry.kind is EntryKind.HARDLINK:
            place.hardlink_to(root / entry.target)
        else:
            if entry.kind is EntryKind.DIRECTORY:
                place.mkdir()
            else:
                place.write_bytes(read(entry))
            os.chown(place, entry.uid, entry.gid)
            place.chmod(entry.mode)
