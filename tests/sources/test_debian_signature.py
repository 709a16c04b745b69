"""Checking signatures: with the real gpgv where there is one, and with what it says elsewhere."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from envcap.errors import SourceError
from envcap.sources.debian_signature import Keyring, Runner, check_clearsigned, check_detached, run_command
from tests.lock.debian_archive import clearsign, no_tools

TEXT = "Origin: Debian\nCodename: bookworm\n- dashed\n"


def saying(status: str, text: bytes = b"", code: int = 0) -> Runner:
    """Make a runner whose gpgv prints these status lines and writes this text."""

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        if "--output" in command:
            Path(command[command.index("--output") + 1]).write_bytes(text)
        lines = "".join(f"[GNUPG:] {line}\n" for line in status.split("|"))
        return subprocess.CompletedProcess(command, code, lines.encode(), b"")

    return run


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    (tmp_path / "keys.gpg").write_bytes(b"\x99binary")
    return Keyring(paths=(tmp_path / "keys.gpg",))


def test_a_good_signature_gives_the_text_that_gpgv_wrote_and_nothing_around_it(keyring: Keyring) -> None:
    data = b"Codename: evil\n" + clearsign(TEXT).encode()
    checked = check_clearsigned(data, keyring=keyring, run=saying("GOODSIG A|VALIDSIG A", b"inner\n"), name="x")
    assert (checked.text, checked.unchecked) == (b"inner\n", "")


def test_one_good_signature_of_several_is_enough(keyring: Keyring) -> None:
    run = saying("GOODSIG A|VALIDSIG A|ERRSIG B|NO_PUBKEY B", b"inner\n", code=2)
    assert check_clearsigned(clearsign(TEXT).encode(), keyring=keyring, run=run, name="x").unchecked == ""


@pytest.mark.parametrize("status", ["BADSIG A", "GOODSIG A|VALIDSIG A|BADSIG B", "REVKEYSIG A|VALIDSIG A"])
def test_a_bad_or_revoked_signature_is_refused_even_beside_a_good_one(keyring: Keyring, status: str) -> None:
    with pytest.raises(SourceError, match="signature of x is bad"):
        check_clearsigned(clearsign(TEXT).encode(), keyring=keyring, run=saying(status), name="x")


@pytest.mark.parametrize(
    ("status", "why"),
    [("ERRSIG A|NO_PUBKEY A", "no key"), ("EXPKEYSIG A|VALIDSIG A", "expired"), ("GOODSIG A", "no key")],
)
def test_what_nobody_can_judge_is_unchecked(keyring: Keyring, status: str, why: str) -> None:
    checked = check_clearsigned(clearsign(TEXT).encode(), keyring=keyring, run=saying(status), name="x")
    assert why in checked.unchecked
    assert checked.text.decode() == TEXT.replace("- dashed", "dashed")


def test_without_a_tool_or_a_key_the_text_is_unchecked(keyring: Keyring) -> None:
    data = clearsign(TEXT).encode()
    assert "not installed" in check_clearsigned(data, keyring=keyring, run=no_tools, name="x").unchecked
    assert "no key" in check_clearsigned(data, keyring=Keyring(), run=no_tools, name="x").unchecked


@pytest.mark.parametrize(
    "data", [b"", b"Origin: Debian\n", b"x\n" + clearsign(TEXT).encode(), clearsign(TEXT)[:60].encode()]
)
def test_an_unchecked_file_must_still_be_clearsigned_and_nothing_else(data: bytes) -> None:
    with pytest.raises(SourceError, match="not a clearsigned file"):
        check_clearsigned(data, keyring=Keyring(), run=no_tools, name="x")


def test_sqv_checks_detached_signatures_where_there_is_no_gpgv(keyring: Keyring) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        if command[0] == "gpgv":
            raise FileNotFoundError
        return subprocess.CompletedProcess(command, int(b"bad" in Path(command[-1]).read_bytes()), b"", b"")

    assert check_detached(b"good", b"sig", keyring=keyring, run=run, name="x").unchecked == ""
    with pytest.raises(SourceError, match="not valid"):
        check_detached(b"bad", b"sig", keyring=keyring, run=run, name="x")


def test_a_program_that_is_not_there_is_told_apart() -> None:
    with pytest.raises(FileNotFoundError):
        run_command(["envcap-no-such-program"])


needs_gnupg = pytest.mark.skipif(not (shutil.which("gpg") and shutil.which("gpgv")), reason="needs gpg and gpgv")


@pytest.fixture
def signer(tmp_path: Path) -> Path:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg(home, "--quick-generate-key", "--passphrase", "", "test@example.org", "ed25519", "sign", "never")
    return home


def gpg(home: Path, *arguments: str, data: bytes = b"") -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--yes", "--pinentry-mode", "loopback", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@needs_gnupg
@pytest.mark.parametrize("armoured", [True, False])
def test_the_real_gpgv_verifies_and_refuses(signer: Path, tmp_path: Path, *, armoured: bool) -> None:
    key = gpg(signer, *(["--armor"] if armoured else []), "--export")
    (tmp_path / "key").write_bytes(key)
    keyring = Keyring(paths=(tmp_path / "key",))
    signed = gpg(signer, "--clearsign", data=TEXT.encode())
    checked = check_clearsigned(signed, keyring=keyring, run=run_command, name="x")
    assert (checked.text.decode(), checked.unchecked) == (TEXT, "")
    with pytest.raises(SourceError, match="is bad"):
        check_clearsigned(signed.replace(b"bookworm", b"bookwurm"), keyring=keyring, run=run_command, name="x")
    around = b"Codename: evil\n\n" + signed + b"\nCodename: evil\n"
    assert check_clearsigned(around, keyring=keyring, run=run_command, name="x").text.decode() == TEXT
    detached = gpg(signer, "--detach-sign", data=TEXT.encode())
    assert check_detached(TEXT.encode(), detached, keyring=keyring, run=run_command, name="x").unchecked == ""


@needs_gnupg
def test_an_unknown_key_leaves_a_real_signature_unchecked(signer: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    gpg(other, "--quick-generate-key", "--passphrase", "", "other@example.org", "ed25519", "sign", "never")
    keyring = Keyring(key=gpg(other, "--armor", "--export").decode())
    signed = gpg(signer, "--clearsign", data=TEXT.encode())
    assert "no key" in check_clearsigned(signed, keyring=keyring, run=run_command, name="x").unchecked
