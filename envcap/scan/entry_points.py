"""Reads `entry_points.txt` (PyPA entry points specification) for the scripts that installers generate."""

import re
from dataclasses import dataclass

from envcap.environment import EntryPoint

_VALUE = re.compile(r"(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+))?\s*(?:\[.*\])?\s*\Z")
_SECTIONS = {"console_scripts": False, "gui_scripts": True}


@dataclass(frozen=True, slots=True)
class Scripts:
    """The scripts of a distribution.

    Attributes:
        entry_points: Sorted by name; of two with one name the later line counts, console before GUI.
        odd: Number of lines that name no usable script.
    """

    entry_points: tuple[EntryPoint, ...]
    odd: int


def parse_entry_points(text: str) -> Scripts:
    """Read the console and GUI scripts; names keep their case, extras (`[extra]`) are dropped."""
    found: dict[str, EntryPoint] = {}
    section, odd = "", 0
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section in _SECTIONS:
            entry_point = _parse_line(line, gui=_SECTIONS[section])
            if entry_point is None:
                odd += 1
            elif not (entry_point.gui and entry_point.name in found):
                found[entry_point.name] = entry_point
    return Scripts(tuple(found[name] for name in sorted(found)), odd)


def _parse_line(line: str, *, gui: bool) -> EntryPoint | None:
    name, equals, value = line.partition("=")
    name = name.strip()
    match = _VALUE.match(value.strip())
    # The name becomes a file in bin: nothing that leaves that folder.
    usable = name.isprintable() and "/" not in name and "\\" not in name and name not in ("", ".", "..")
    if not equals or match is None or match["attribute"] is None or not usable:
        return None
    return EntryPoint(name=name, value=f"{match['module']}:{match['attribute']}", gui=gui)
