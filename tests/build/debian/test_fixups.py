"""Each fix-up makes what a maintainer script would have made."""

from typing import Final

import pytest

from envcap.build.debian.fixups import (
    accounts,
    apply_fixups,
    certificates,
    interpreter_link,
    library_cache,
    name_service,
    package_records,
    standard_directories,
    time_zone,
)
from envcap.build.debian.ldcache import ld_so_cache
from envcap.build.debian.package import DebContents
from envcap.entry import Entry, EntryKind
from tests.build.debian.deb_builder import make_library
from tests.build.debian.test_ldcache import LIB, LIBC, make_tree

CERTIFICATES: Final = "usr/share/ca-certificates"


def texts(entries: list[Entry]) -> dict[str, str]:
    return {
        entry.path: b"".join(entry.content.chunks()).decode() if entry.kind is EntryKind.FILE else f"-> {entry.target}"
        for entry in entries
    }


def package(name: str, version: str = "1", *, md5sums: bytes = b"", postinst: str = "") -> DebContents:
    fields = {"Package": name, "Version": version, "Architecture": "all"}
    control = f"Package: {name}\nVersion: {version}".encode()
    return DebContents(fields=fields, control=control, entries=(), md5sums=md5sums, scripts={"postinst": postinst})


def test_f1_accounts_are_base_passwd_s_plus_nonroot() -> None:
    tree = make_tree(
        {
            "usr/share/base-passwd/passwd.master": b"root:*:0:0:root:/root:/bin/bash\n",
            "usr/share/base-passwd/group.master": b"root:*:0:\nstaff:*:50:",
        }
    )
    assert texts(accounts(tree)) == {
        "etc/passwd": "root:*:0:0:root:/root:/bin/bash\nnonroot:*:65532:65532:nonroot:/home/nonroot:/bin/sh\n",
        "etc/group": "root:*:0:\nstaff:*:50:\nnonroot:*:65532:\n",
    }


def test_f1_root_has_a_name_without_base_passwd() -> None:
    assert texts(accounts(make_tree({})))["etc/passwd"].startswith("root:*:0:0:root:/root:/bin/sh\nnobody:")


def test_f2_the_bundle_is_sorted_by_bytes_with_missing_newlines() -> None:
    tree = make_tree(
        {
            f"{CERTIFICATES}/mozilla/b.crt": b"B\n",
            f"{CERTIFICATES}/mozilla/Z.crt": b"Z",
            f"{CERTIFICATES}/extra/a.CRT": b"A\n",
            f"{CERTIFICATES}/mozilla/README": b"no certificate",
            f"{CERTIFICATES}/empty.crt": b"",
        }
    )
    found = texts(certificates(tree))
    assert found["etc/ssl/certs/ca-certificates.crt"] == "A\nZ\nB\n"
    assert found["etc/ca-certificates.conf"].split("\n")[1:] == [
        "empty.crt",
        "extra/a.CRT",
        "mozilla/Z.crt",
        "mozilla/b.crt",
        "",
    ]


def test_f2_there_is_no_bundle_without_certificates() -> None:
    assert certificates(make_tree({})) == []


def test_f3_the_cache_and_missing_links_are_made() -> None:
    tree = make_tree({f"{LIB}/libz.so.1.2": make_library("libz.so.1")})
    link, cache = library_cache(tree, architecture="amd64", libc_version=LIBC)
    assert (link.path, link.target) == (f"{LIB}/libz.so.1", "libz.so.1.2")
    assert cache.path == "etc/ld.so.cache"
    assert b"".join(cache.content.chunks()) == ld_so_cache(tree, architecture="amd64", libc_version=LIBC)


def test_f4_time_is_utc() -> None:
    tree = make_tree({"usr/share/zoneinfo/UTC": b"TZif", "usr/share/zoneinfo/Etc/UTC": "-> ../UTC"})
    assert texts(time_zone(tree)) == {
        "etc/localtime": "-> /usr/share/zoneinfo/Etc/UTC",
        "etc/timezone": "Etc/UTC\n",
    }
    assert time_zone(make_tree({})) == []


def test_f5_nsswitch_is_copied() -> None:
    tree = make_tree({"usr/share/libc-bin/nsswitch.conf": b"hosts: files dns\n"})
    assert texts(name_service(tree)) == {"etc/nsswitch.conf": "hosts: files dns\n"}
    assert name_service(make_tree({})) == []


@pytest.mark.parametrize(
    ("files", "links"),
    [
        ({"usr/bin/python3.9": b"", "usr/bin/python3.11": b""}, {"usr/bin/python3": "-> python3.11"}),
        ({"usr/bin/python3.11": b"", "usr/bin/python3": "-> python3.11"}, {}),
        ({"usr/bin/python3.11-config": b""}, {}),
    ],
)
def test_f7_python3_is_the_highest_version(files: dict[str, bytes | str], links: dict[str, str]) -> None:
    assert texts(interpreter_link(make_tree(files))) == links


def test_f8_scanners_find_the_control_files() -> None:
    assert texts(package_records([package("a", md5sums=b"00  etc/a\n"), package("b")])) == {
        "var/lib/dpkg/status.d/a": "Package: a\nVersion: 1\n",
        "var/lib/dpkg/status.d/a.md5sums": "00  etc/a\n",
        "var/lib/dpkg/status.d/b": "Package: b\nVersion: 1\n",
    }


def test_expected_directories_exist_with_their_modes() -> None:
    found = {entry.path: (entry.mode, entry.uid, entry.gid) for entry in standard_directories(make_tree({}))}
    assert found == {
        "dev": (0o755, 0, 0),
        "etc/ld.so.conf.d": (0o755, 0, 0),
        "home/nonroot": (0o700, 65532, 65532),
        "proc": (0o755, 0, 0),
        "root": (0o700, 0, 0),
        "run": (0o755, 0, 0),
        "sys": (0o755, 0, 0),
        "tmp": (0o1777, 0, 0),
        "var/tmp": (0o1777, 0, 0),
    }


def test_a_file_of_a_package_is_never_replaced() -> None:
    tree = make_tree({"etc/passwd": b"own\n", "usr/share/libc-bin/nsswitch.conf": b"x\n"})
    entries, _ = apply_fixups(tree, [], architecture="amd64")
    assert {"etc/group", "etc/nsswitch.conf"} <= set(texts(entries))
    assert "etc/passwd" not in texts(entries)


def test_the_cache_sees_libraries_behind_alternatives() -> None:
    tree = make_tree({f"{LIB}/blas/libblas.so.3": make_library("libblas.so.3")})
    script = f"update-alternatives --install /{LIB}/libblas.so.3 blas /{LIB}/blas/libblas.so.3 10\n"
    contents = [package("libc6", LIBC), package("libblas3", postinst=script)]
    entries, findings = apply_fixups(tree, contents, architecture="amd64")
    cache = next(entry for entry in entries if entry.path == "etc/ld.so.cache")
    assert b"/lib/x86_64-linux-gnu/libblas.so.3\0" in b"".join(cache.content.chunks())
    assert findings == []
