"""The prefix inside a conda package's files: put in for the image, and taken out of a live file again.

A package is built in a folder with a very long name, its placeholder. An installer replaces it in the files that
`info/paths.json` names: in a text anywhere, in a binary within C strings, which keep their length by more NULs behind.
Taking the live prefix out again gives the archive's own bytes, and their hash in `paths.json` proves that.

Source: conda, `core/portability.py` (`replace_prefix`, `binary_replace`, `replace_long_shebang`); rattler,
`install/link.rs` (`copy_and_replace_placeholders`).
"""

import re
from collections.abc import Iterable, Iterator

from envcap.errors import ArchiveError

_ENV_SHEBANG = re.compile(rb"#![ \t]*/usr/bin/env[ \t]+(?P<rest>[^\n]*)")
_TRAMPOLINE = re.compile(
    rb"#!/bin/sh\n'''exec' (?P<quote>\"?)(?P<python>[^\"\n]+?)(?P=quote)(?P<arguments>(?: [^\n\"]*?)?) "
    rb"\"\$0\" \"\$@\" #'''\n"
)


def put_prefix(data: bytes, placeholder: bytes, prefix: bytes, *, binary: bool, where: str) -> bytes:
    """Replace a placeholder by the prefix.

    Args:
        data: The archive's bytes.
        placeholder: What `paths.json` names.
        prefix: Where the environment lies.
        binary: Whether strings end with a NUL and must keep their length.
        where: The file, for the message.

    Raises:
        ArchiveError: The placeholder is shorter than the prefix, in a binary.
    """
    if not binary:
        return data.replace(placeholder, prefix)
    spare = len(placeholder) - len(prefix)
    if spare < 0:
        raise ArchiveError(
            f"{where}: its placeholder has {len(placeholder)} bytes (expected {len(prefix)} or more, in a binary)",
            hint="the package can't be moved to the image's prefix: ask its publisher to build it anew",
        )
    parts: list[bytes] = []
    done = 0
    for start, end in _strings(data, placeholder):
        text = data[start:end]
        parts += [data[done:start], text.replace(placeholder, prefix), bytes(spare * text.count(placeholder))]
        done = end
    return b"".join((*parts, data[done:])) if parts else data


def take_prefix(data: bytes, prefix: bytes, placeholder: bytes, *, binary: bool) -> bytes | None:
    """Put a placeholder back where the live prefix is; None where a string has no room for it.

    Whether the result is the archive's file is for its hash to say.
    """
    if not binary:
        return data.replace(prefix, placeholder)
    spare = len(placeholder) - len(prefix)
    if spare < 0:
        return None
    parts: list[bytes] = []
    done = 0
    for start, end in _strings(data, prefix):
        text = data[start:end]
        needed = spare * text.count(prefix)
        if needed > len(data) - end or not data.startswith(bytes(needed), end):
            return None
        parts += [data[done:start], text.replace(prefix, placeholder)]
        done = end + needed
    return b"".join((*parts, data[done:])) if parts else data


def _strings(data: bytes, needle: bytes) -> Iterator[tuple[int, int]]:
    """Find the C strings that hold some bytes: where those begin, and where the string ends.

    `bytes.find` passes over a large library several times as fast as a regular expression does.
    """
    start = data.find(needle)
    while start >= 0:
        end = data.find(b"\0", start)
        end = len(data) if end < 0 else end
        yield start, end
        start = data.find(needle, end)


def original_candidates(data: bytes, prefixes: Iterable[bytes], placeholder: bytes, *, binary: bool) -> Iterable[bytes]:
    """Yield what the archive's file may have been, for each spelling of the live prefix.

    Installers write another first line where it would be too long, or hold a space: conda `#!/usr/bin/env`, rattler
    and mamba a shell that starts Python with the same file.
    """
    for prefix in prefixes:
        found = take_prefix(data, prefix, placeholder, binary=binary)
        if found is None:
            continue
        yield found
        if not binary and (direct := plain_shebang(found)) != found:
            yield direct
        shebang = None if binary else _ENV_SHEBANG.match(found)
        if shebang:
            yield b"#!" + placeholder + b"/bin/" + shebang["rest"] + found[shebang.end() :]


def plain_shebang(data: bytes) -> bytes:
    """Give a script that a shell hands to its Python the first line that names this Python."""
    match = _TRAMPOLINE.match(data)
    return b"#!" + match["python"] + match["arguments"] + b"\n" + data[match.end() :] if match else data
