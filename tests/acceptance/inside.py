"""What an environment can do, as JSON: run by the live interpreter and by the image's, which must agree.

Only names come out, no paths: a difference is a difference of the environments.
"""

import contextlib
import importlib
import importlib.metadata
import io
import json
import sys
import warnings

TALKATIVE = {"__main__", "antigravity", "idlelib", "this", "turtledemo"}
"""Modules of the standard library that open windows, browsers or print poems."""

APART = {"_tkinter", "ensurepip", "lib2to3", "tkinter", "turtle"}
"""Modules that Debian has in packages beside its Python; nothing tells that an environment needs them."""


def imports(name: str) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001  # modules may do anything when imported
        return type(error).__name__
    return ""


def main() -> None:
    installed = sorted(
        (distribution.metadata["Name"], distribution.version) for distribution in importlib.metadata.distributions()
    )
    owned = {name for name in importlib.metadata.packages_distributions() if name.isidentifier()}
    builtin = {name for name in sys.stdlib_module_names if name not in TALKATIVE | APART}
    json.dump(
        {
            "version": sys.version_info[:],
            "installed": installed,
            # In one order: which of setuptools and distutils comes first matters to both.
            "modules": [name for name in sorted(owned) if not imports(name)],
            "failing": {name: why for name in sorted(owned) if (why := imports(name))},
            "standard library": sorted(name for name in builtin if not imports(name)),
        },
        sys.stdout,
    )


main()
