"""Read, never run, what maintainer scripts say about `update-alternatives` and `dpkg-divert`.

Only literal calls are understood: in Debian they are literal where libraries depend on them (libblas.so.3 has no other
way to get its name). The best choice is taken, as in automatic mode (update-alternatives(1)).
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envcap.build.debian.merge import symlink
from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import Tree, path_order
from envcap.entry import Entry

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._@-]*\Z")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9+._@:=\[\],~-]+)+\Z")
_PRIORITY = re.compile(r"-?[0-9]{1,9}\Z")
_LINK = 3  # words of one link: link, name, path
_SLAVE = {"--slave", "--follower"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One candidate for a link group.

    Attributes:
        links: The master link, then its followers: (link, name, path), all but the name absolute.
        priority: The higher, the better.
        package: Who offers it.
    """

    links: tuple[tuple[str, str, str], ...]
    priority: int
    package: str

    @property
    def name(self) -> str:
        """Name of the group: that of the master link."""
        return self.links[0][1]

    @property
    def rank(self) -> tuple[int, bytes]:
        """The best is first: highest priority, ties by path."""
        return (-self.priority, path_order(self.links[0][2]))


def parse_alternatives(package: DebContents) -> tuple[list[Alternative], list[str]]:
    """Read the `update-alternatives --install` calls of a package's postinst.

    Returns:
        The alternatives, and a finding for every call that isn't literal.
    """
    alternatives: list[Alternative] = []
    findings: list[str] = []
    for words in _calls(package.scripts.get("postinst", ""), "update-alternatives"):
        if "--install" not in words:
            continue
        parsed = _parse_install(words, package.package)
        if parsed is None:
            findings.append(
                f"{package.package}: its postinst calls update-alternatives with words that only a shell can"
                f" expand; the link isn't made: {' '.join(words)[:200]!r}"
            )
        else:
            alternatives.append(parsed)
    return alternatives, findings


def alternative_links(tree: Tree, alternatives: Sequence[Alternative]) -> list[Entry]:
    """Make `/etc/alternatives/NAME` and the link to it for the best alternative of each group.

    As update-alternatives does, a candidate whose own file is missing is skipped, and so is a follower without its
    file, and a link in whose place a package has a file.
    """
    best: dict[str, Alternative] = {}
    for candidate in sorted(alternatives, key=lambda found: found.rank):
        if tree.resolve(candidate.links[0][2]) is not None:
            best.setdefault(candidate.name, candidate)
    entries: dict[str, Entry] = {}
    for _, chosen in sorted(best.items()):
        for link, name, path in chosen.links:
            place = _place(tree, link)
            if tree.resolve(path) is not None and place not in tree:
                entries.setdefault(f"etc/alternatives/{name}", symlink(f"etc/alternatives/{name}", path))
                entries.setdefault(place, symlink(place, f"/etc/alternatives/{name}"))
    return list(entries.values())


def diversions(package: DebContents) -> list[str]:
    """Find the diversions that a package would make: they are not supported.

    Essential packages must work unpacked but unconfigured (policy 3.8) and `.usr-is-merged` is a guard for upgrades to
    merged /usr: neither changes a fresh tree, so neither is told of.
    """
    findings = []
    for script in ("preinst", "postinst"):
        for words in _calls(package.scripts.get(script, ""), "dpkg-divert"):
            adds = not {"--remove", "--list", "--listpackage", "--truename"} & set(words)
            if adds and not package.is_essential and not any("usr-is-merged" in word for word in words):
                findings.append(
                    f"{package.package}: its {script} diverts a file, which isn't done: {' '.join(words)[:200]!r}"
                )
    return findings


def _place(tree: Tree, link: str) -> str:
    """Find where a link lies once merged /usr is followed: `/bin/x` is `usr/bin/x`."""
    parent, _, name = link.rpartition("/")
    real = tree.resolve(parent)
    return f"{real}/{name}".lstrip("/") if real is not None else link.lstrip("/")


def _calls(script: str, command: str) -> Iterator[list[str]]:
    """Yield the words of each call of a command, split as a shell would, without expanding anything."""
    for line in script.replace("\\\n", " ").split("\n"):
        if command not in line or line.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # an unbalanced quote: a string over several lines
            words = line.split()
        for position, word in enumerate(words):
            if word == command or word.endswith("/" + command):
                yield _until_operator(words[position:])


def _until_operator(words: Sequence[str]) -> list[str]:
    end = next((at for at, word in enumerate(words) if word[:1] in set(";|&()<>")), len(words))
    if end < len(words) and words[end].startswith(">") and words[end - 1].isdecimal():
        end -= 1  # `2>/dev/null`
    return list(words[:end])


def _parse_install(words: list[str], package: str) -> Alternative | None:
    rest = words[words.index("--install") + 1 :]
    if len(rest) <= _LINK or not _PRIORITY.match(rest[_LINK]):
        return None
    links = [(rest[0], rest[1], rest[2])]
    followers = rest[_LINK + 1 :]
    while followers:
        option, *link = followers[: _LINK + 1]
        if option not in _SLAVE or len(link) != _LINK:
            return None
        links.append((link[0], link[1], link[2]))
        followers = followers[_LINK + 1 :]
    if not all(_PATH.match(link) and _NAME.match(name) and _PATH.match(path) for link, name, path in links):
        return None
    return Alternative(links=tuple(links), priority=int(rest[_LINK]), package=package)
