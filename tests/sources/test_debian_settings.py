"""Finding a machine's Debian mirrors in its settings."""

from pathlib import Path

import pytest

from envcap.errors import SystemPackageError
from envcap.sources.debian_settings import DebianMirrors, find_debian_mirrors

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://one.example.org/debian/ https://two.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://one.example.org/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example.org/debian
Suites: bookworm
Components: main
"""


def find(tmp_path: Path, environ: dict[str, str] | None = None, **files: str) -> DebianMirrors:
    (tmp_path / "apt" / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        path = tmp_path / "apt" / ("sources.list" if name == "main" else f"sources.list.d/{name.replace('_', '.')}")
        path.write_text(text)
    return find_debian_mirrors(environ or {}, tmp_path / "apt", tmp_path / "keyrings")


def uris(mirrors: DebianMirrors, suite: str) -> list[str]:
    return [mirror.uri for mirror in mirrors.of_suite(suite)]


def test_deb822_stanzas_give_main_and_security_mirrors(tmp_path: Path) -> None:
    mirrors = find(tmp_path, debian_sources=DEB822)
    assert uris(mirrors, "bookworm") == ["http://one.example.org/debian", "https://two.example.org/debian"]
    assert uris(mirrors, "bookworm-security") == ["http://one.example.org/debian-security"]
    assert mirrors.main[0].keyrings == (Path("/keys/debian.gpg"),)


def test_a_configured_mirror_serves_other_suites_too(tmp_path: Path) -> None:
    mirrors = find(tmp_path, debian_sources=DEB822)
    assert uris(mirrors, "trixie-updates") == uris(mirrors, "bookworm")


def test_one_line_entries_with_options_are_read(tmp_path: Path) -> None:
    text = """\
deb [arch=amd64 signed-by=/keys/x.gpg] http://one.example.org/debian stable main contrib # comment
deb http://one.example.org/security bookworm-security/ main
deb-src http://source.example.org/debian bookworm main
# deb http://off.example.org/debian bookworm main
"""
    mirrors = find(tmp_path, main=text)
    assert uris(mirrors, "bookworm") == ["http://one.example.org/debian"]
    assert uris(mirrors, "bookworm-security") == ["http://one.example.org/security"]
    assert mirrors.main[0].keyrings == (Path("/keys/x.gpg"),)


def test_archives_of_others_are_left_out(tmp_path: Path) -> None:
    text = """\
deb http://one.example.org/ubuntu jammy main
deb http://one.example.org/docker bookworm stable
deb http://one.example.org/pgdg bookworm-pgdg main
deb http://one.example.org/debian bookworm-backports main
deb http://one.example.org/debian bookworm main
"""
    assert uris(find(tmp_path, main=text), "bookworm") == ["http://one.example.org/debian"]


def test_a_scheme_that_only_apt_reads_is_skipped_with_a_finding(tmp_path: Path) -> None:
    text = "deb mirror+file:/etc/apt/mirrors.list bookworm main\ndeb http://one.example.org/debian bookworm main\n"
    mirrors = find(tmp_path, main=text)
    assert uris(mirrors, "bookworm") == ["http://one.example.org/debian"]
    assert [finding.code for finding in mirrors.findings] == ["mirror-unsupported"]


def test_a_key_in_the_settings_is_taken_with_its_lines(tmp_path: Path) -> None:
    text = """\
Types: deb
URIs: http://one.example.org/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----
"""
    key = find(tmp_path, debian_sources=text).main[0].key
    assert key.strip().splitlines() == [
        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "",
        "AAAA",
        "-----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_the_variable_comes_before_the_settings(tmp_path: Path) -> None:
    environ = {"ENVCAP_DEBIAN_MIRROR": "https://a.example.org/debian/ file:///srv/debian"}
    mirrors = find(tmp_path, environ, debian_sources=DEB822)
    assert uris(mirrors, "bookworm") == ["https://a.example.org/debian", "file:///srv/debian"]
    assert mirrors.security == mirrors.main


def test_the_variable_refuses_what_is_no_address_without_showing_its_secret(tmp_path: Path) -> None:
    with pytest.raises(SystemPackageError, match="ENVCAP_DEBIAN_MIRROR") as caught:
        find(tmp_path, {"ENVCAP_DEBIAN_MIRROR": "ftp://me:hunter2@a.example.org/debian"})
    assert "hunter2" not in caught.value.message


def test_debians_own_keyring_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "keyrings").mkdir()
    (tmp_path / "keyrings" / "debian-archive-keyring.gpg").touch()
    mirrors = find(tmp_path, main="deb http://one.example.org/debian bookworm main\n")
    assert mirrors.main[0].keyrings == (tmp_path / "keyrings" / "debian-archive-keyring.gpg",)


def test_apts_trusted_keys_serve_where_there_is_no_keyring_package(tmp_path: Path) -> None:
    trusted = tmp_path / "apt" / "trusted.gpg.d"
    trusted.mkdir(parents=True)
    (trusted / "b.asc").touch()
    (trusted / "a.gpg").touch()
    (tmp_path / "apt" / "sources.list").write_text("deb http://one.example.org/debian bookworm main\n")
    mirrors = find_debian_mirrors({}, tmp_path / "apt", tmp_path / "keyrings")
    assert [path.name for path in mirrors.main[0].keyrings] == ["a.gpg", "b.asc"]


def test_no_mirror_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SystemPackageError, match="No Debian mirror") as caught:
        find(tmp_path, main="deb http://one.example.org/ubuntu jammy main\n")
    assert "ENVCAP_DEBIAN_MIRROR" in caught.value.hint
