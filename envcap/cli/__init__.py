"""The command line: parse, call one verb, print. No logic of its own."""

import sys

# httpx has a command of its own, for which it imports click, pygments and rich wherever they are installed: 0.3 s of
# every run. It expects that they are not there, and None makes that import fail in the same way.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # the documented way to bar an import
