"""Reading YAML that somebody else wrote: bounded, without anchors, and every scalar a text.

What a lock holds is names, addresses and hashes; read as a text, the version `3.10` stays one, and so does a hash of
digits only. Anchors make documents that unfold to more than any memory (the "billion laughs"), and no locker writes
them.
Source: YAML 1.2.2, sections 3.2.2.2 (anchors and aliases) and 10.1 (the failsafe schema: texts, lists and mappings).
"""

from envcap.errors import LockfileError

MAX_DEPTH = 24
"""Levels of nesting; the formats that are read have six at most."""

MAX_NODES = 500_000
"""Scalars and collections; the largest lock seen (1.3 MB, 12 environments) has 51 000."""


def parse_yaml(text: str, *, name: str) -> object:
    """Read a document as texts, lists and mappings.

    Args:
        text: The document.
        name: The file's name, for messages; nothing of its text is repeated, which may hold a token.

    Raises:
        LockfileError: It is damaged, has anchors, or is nested or long beyond reason.
    """
    import yaml  # noqa: PLC0415 - slow to load

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = nodes = 0
        # Events first: they come without recursion, the composer below does not.
        for event in yaml.parse(text, Loader=loader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                raise LockfileError(f"{name} has an alias in line {line} (expected none)")
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or nodes > MAX_NODES:
                raise LockfileError(
                    f"{name} is too deep or too long in line {line} "
                    f"(expected {MAX_DEPTH} levels and {MAX_NODES} nodes at most)"
                )
        return yaml.load(text, Loader=loader)  # noqa: S506 - the base loader makes texts, lists and mappings only
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise LockfileError(f"{name} is damaged: no YAML{where}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        raise LockfileError(f"{name} is damaged: no YAML") from None
