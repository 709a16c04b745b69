"""Is a Release file signed by Debian? Asked of `gpgv`, or of `sqv` where that is what the machine has.

A bad signature is refused always. No tool, or no key for any of the signatures, leaves the file `unchecked`:
the caller says so and writes it into the lock. Of a clearsigned file only what the tool itself wrote out is
read, never the text around it (GnuPG manual, "gpgv"; doc/DETAILS for the status lines).
"""

import base64
import binascii
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.errors import SourceError

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[bytes]]
"""Runs a command with its output captured; raises FileNotFoundError where there is no such program."""

_TIME_LIMIT: Final = 60.0
_BLOCK: Final = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\s*?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_CLEARSIGNED: Final = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash: [^\n]+\n)*\n(?P<text>.*\n)-----BEGIN PGP SIGNATURE-----\n.*"
    rb"-----END PGP SIGNATURE-----\s*\Z",
    re.DOTALL,
)


class BadSignatureError(SourceError):
    """A file was changed since it was signed, or its key was revoked: an alarm, not a reason to look elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedText:
    """What a signed file says, and how far that is proved.

    Attributes:
        text: The signed text.
        unchecked: Why the signature could not be checked; empty where it is good.
    """

    text: bytes
    unchecked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys that a signature may be made with.

    Attributes:
        paths: Keyring files, binary or armoured.
        key: An armoured key, or empty.
    """

    paths: tuple[Path, ...] = ()
    key: str = ""


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its output captured and no input; the `Runner` of a real machine.

    Raises:
        FileNotFoundError: There is no such program.
        SourceError: It takes more than a minute.
    """
    try:
        return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=_TIME_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command[0]} gave no answer in {_TIME_LIMIT:.0f} seconds") from error


def check_clearsigned(data: bytes, *, keyring: Keyring, run: Runner, name: str) -> CheckedText:
    """Check a clearsigned file (`InRelease`) with gpgv.

    Args:
        data: The file.
        keyring: Keys to accept.
        run: Runs gpgv.
        name: The file's name for messages.

    Raises:
        BadSignatureError: The signature is bad or by a revoked key.
        SourceError: The file isn't clearsigned.
    """
    with tempfile.TemporaryDirectory(prefix="envcap-") as scratch:
        folder = Path(scratch)
        (folder / "signed").write_bytes(data)
        output = folder / "text"
        status = _run_gpgv(folder, keyring, run, ["--output", str(output), str(folder / "signed")])
        unchecked = _judge(status, name)
        if not unchecked:
            return CheckedText(text=output.read_bytes())
    # Nobody vouches for these bytes; the strict form only keeps a damaged file from passing for a whole one.
    match = _CLEARSIGNED.match(data.replace(b"\r\n", b"\n"))
    if match is None:
        raise SourceError(f"{name} is not a clearsigned file")
    return CheckedText(text=re.sub(rb"^- ", b"", match["text"], flags=re.MULTILINE), unchecked=unchecked)


def check_detached(data: bytes, signature: bytes, *, keyring: Keyring, run: Runner, name: str) -> CheckedText:
    """Check a file with a signature beside it (`Release`, `Release.gpg`) with gpgv, else with sqv.

    Raises:
        BadSignatureError: The signature is bad or by a revoked key.
    """
    with tempfile.TemporaryDirectory(prefix="envcap-") as scratch:
        folder = Path(scratch)
        (folder / "text").write_bytes(data)
        (folder / "text.gpg").write_bytes(signature)
        files = [str(folder / "text.gpg"), str(folder / "text")]
        status = _run_gpgv(folder, keyring, run, files)
        unchecked = _run_sqv(folder, keyring, run, files, name) if status is None else _judge(status, name)
    return CheckedText(text=data, unchecked=unchecked)


def _run_gpgv(folder: Path, keyring: Keyring, run: Runner, arguments: Sequence[str]) -> str | None:
    """Return gpgv's status lines; None where there is no gpgv."""
    keys = _gather_keys(folder, keyring)
    options = [option for path in keys for option in ("--keyring", str(path))]
    if not options:
        return ""
    try:
        # An own, empty home: neither the user's keys nor their options count.
        done = run(["gpgv", "--homedir", str(folder), "--status-fd", "1", *options, *arguments])
    except FileNotFoundError:
        return None
    return done.stdout.decode("utf-8", "replace")


def _run_sqv(folder: Path, keyring: Keyring, run: Runner, files: Sequence[str], name: str) -> str:
    keys = _gather_keys(folder, keyring)
    options = [option for path in keys for option in ("--keyring", str(path))]
    try:
        done = run(["sqv", *options, *files])
    except FileNotFoundError:
        return "neither gpgv nor sqv is installed"
    if done.returncode != 0:
        # sqv does not tell a bad signature from an unknown key: the careful reading is the only safe one.
        raise BadSignatureError(
            f"The signature of {name} is not valid (sqv)", hint="install gpgv, or ask another mirror"
        )
    return ""


def _judge(status: str | None, name: str) -> str:
    """Say from gpgv's status lines why a signature is unchecked; empty where one is good and none is bad."""
    if status is None:
        return "gpgv is not installed"
    words = {line.split()[1] for line in status.splitlines() if line.startswith("[GNUPG:] ") and len(line.split()) > 1}
    if words & {"BADSIG", "REVKEYSIG"}:
        raise BadSignatureError(
            f"The signature of {name} is bad: the file was changed, or its key was revoked",
            hint="do not use this mirror; set ENVCAP_DEBIAN_MIRROR to another one",
        )
    if {"GOODSIG", "VALIDSIG"} <= words:
        return ""
    if "EXPKEYSIG" in words:
        return "the key it is signed with has expired"
    return "no key for it is installed (package debian-archive-keyring)"


def _gather_keys(folder: Path, keyring: Keyring) -> list[Path]:
    """Return binary keyring files: gpgv reads no armoured ones."""
    found: list[Path] = []
    sources = [path.read_bytes() for path in keyring.paths if path.is_file()]
    for number, data in enumerate([*sources, *([keyring.key.encode()] if keyring.key else [])]):
        binary = _remove_armour(data) if b"-----BEGIN PGP" in data[:4096] else data
        if binary:
            path = folder / f"keys-{number}.gpg"
            path.write_bytes(binary)
            found.append(path)
    return found


def _remove_armour(data: bytes) -> bytes:
    """Decode the ASCII armour of key blocks (RFC 9580, section 6.2)."""
    keys = b""
    for block in _BLOCK.findall(data.replace(b"\r\n", b"\n")):
        lines = [line.strip() for line in block.split(b"\n")]
        if b"" in lines:  # armour headers end with an empty line
            lines = lines[lines.index(b"") + 1 :]
        try:
            keys += base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")), validate=True)
        except binascii.Error:
            continue
    return keys
