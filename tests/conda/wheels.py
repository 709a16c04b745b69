"""Real wheels as conda packages, as conda-build makes them: pure ones noarch, others with scripts of their own."""

import configparser
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.conda.channel import PLACEHOLDER, PYTHON, SITE, Member, Spec

_LEFT_OUT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
_LIBRARY = re.compile(r"\.so(?:\.[0-9.]+)?\Z")
_SCRIPT = """\
#!{placeholder}/bin/python{python}
import sys

from {module} import {name}

if __name__ == '__main__':
    sys.exit({call}())
"""


def wheel_spec(path: Path) -> Spec:
    """Repackage a wheel.

    One library of a compiled package gets a placeholder behind its last byte, as those have that were configured with
    a prefix; loaders don't look there.
    """
    name, version, *_ = path.name.split("-")
    pure = path.name.endswith("-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        files = dict(_files(archive, pure=pure))
        points = tuple(_entry_points(archive))
    if not pure:
        files |= {f"bin/{point.partition(' = ')[0]}": _script(point) for point in points}
        library = next((path for path in sorted(files) if _LIBRARY.search(path)), None)
        if library:
            data = files[library].data + f"\0{PLACEHOLDER}/share\0".encode()
            files[library] = Member(data=data, mode=0o755, placeholder=PLACEHOLDER, binary=True)
    return Spec(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        version=version,
        build="pyhd_0" if pure else f"py{PYTHON.replace('.', '')}_0",
        files=files,
        depends=(f"python {PYTHON}.*",),
        noarch="python" if pure else "",
        entry_points=points if pure else (),
    )


def _files(archive: zipfile.ZipFile, *, pure: bool) -> Iterator[tuple[str, Member]]:
    root = "site-packages" if pure else SITE
    for row in archive.infolist():
        if row.is_dir():
            continue
        data, mode = archive.read(row), 0o755 if row.external_attr >> 16 & 0o111 else 0o644
        head, _, rest = row.filename.partition("/")
        if head.endswith(".dist-info") and rest in _LEFT_OUT:
            continue
        if not head.endswith(".data"):
            yield f"{root}/{row.filename}", Member(data=data, mode=mode)
            continue
        scheme, _, below = rest.partition("/")
        if scheme in {"purelib", "platlib"}:
            yield f"{root}/{below}", Member(data=data, mode=mode)
        elif scheme == "data":
            yield below, Member(data=data, mode=mode)
        elif scheme == "scripts":
            folder = "python-scripts" if pure else "bin"
            yield f"{folder}/{below}", _with_shebang(data)
        else:
            yield f"include/python{PYTHON}/{below}", Member(data=data, mode=mode)
    info = next(row.partition("/")[0] for row in archive.namelist() if row.partition("/")[0].endswith(".dist-info"))
    yield f"{root}/{info}/INSTALLER", Member(data=b"conda\n")
    yield f"{root}/{info}/RECORD", Member(data=f"{info}/METADATA,,\n".encode())


def _with_shebang(data: bytes) -> Member:
    shebang = f"#!{PLACEHOLDER}/bin/python".encode()
    replaced = re.sub(rb"\A#!pythonw?", lambda _: shebang, data)
    return Member(data=replaced, mode=0o755, placeholder=PLACEHOLDER if replaced != data else "")


def _entry_points(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        if name.endswith(".dist-info/entry_points.txt"):
            parser = configparser.ConfigParser(delimiters=("=",))
            parser.optionxform = str  # type: ignore[assignment]  # names keep their case (PyPA's own recipe)
            parser.read_string(archive.read(name).decode())
            if parser.has_section("console_scripts"):
                for key, value in parser.items("console_scripts"):
                    yield f"{key} = {value.partition('[')[0].strip()}"


def _script(point: str) -> Member:
    module, _, call = point.partition(" = ")[2].partition(":")
    text = _SCRIPT.format(placeholder=PLACEHOLDER, python=PYTHON, module=module, name=call.partition(".")[0], call=call)
    return Member(data=text.encode(), mode=0o755, placeholder=PLACEHOLDER)
