"""Modules that load when they are first used: a command that needs no network does not wait for an HTTP client."""

import importlib.util
import sys
from types import ModuleType


def lazy_module(name: str) -> ModuleType:
    """Give a module that loads on its first attribute; one that is loaded already is given as it is.

    The first use must not be made by several threads at once (`LazyLoader` locks only from CPython 3.11.9 on).

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
