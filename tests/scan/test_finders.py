"""Finders of editable installs are read, never run."""

import pytest

from envcap.scan.finders import imported_by, read_finder

REAL = {
    "setuptools": "MAPPING: dict[str, str] = {'a': '/p/a', 'space.b': '/p/b'}\nNAMESPACES = {'a.c': ['/p/a/c']}\n",
    "old setuptools": "import sys\nMAPPING = {'a': '/p/a', 'space.b': '/p/b'}\n",
    "editables": "from editables.redirector import RedirectingFinder as F\nF.install()\n"
    "F.map_module('a', '/p/a')\nF.map_module('space.b', '/p/b')\n",
    "scikit-build-core": "def install(known, *rest):\n    pass\n\n"
    "install({'a': '/p/a', 'space.b': '/p/b'}, {'a.c': 'a/c.so'}, None)\n",
}


@pytest.mark.parametrize("text", REAL.values(), ids=REAL)
def test_each_known_finder_tells_where_its_modules_are(text: str) -> None:
    assert read_finder(f"raise SystemExit('run')\n{text}") == {"a": "/p/a", "space.b": "/p/b"}


@pytest.mark.parametrize(
    "text",
    ["", "x = (", "\0", "MAPPING = call()", "MAPPING = ['a']", "MAPPING = {1: 2}", "MAPPING = {'a': b'/p'}",
     "install()", "install(known)", "F.map_module('a')", "F.map_module(a, '/p')", "MAPPING = " + "(" * 5000,
     "MAPPING = {[]: 'a'}"],
)  # fmt: skip
def test_what_is_no_known_finder_tells_nothing(text: str) -> None:
    assert read_finder(text) == {}


def test_a_path_file_tells_which_modules_it_starts() -> None:
    text = (
        "/some/folder\nimport one\nimport two; two.install()\nimport\tthree\nimport sys, os\n# import four\nimported\n"
    )
    assert imported_by(text) == {"one", "two", "three"}
