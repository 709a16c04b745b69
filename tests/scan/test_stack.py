"""Layers of packages: what is seen of them is what Python would import."""

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import Distribution, InstalledFile
from envcap.scan.sites import Site
from envcap.scan.stack import Layer, stack_layers
from tests.scan.env_builder import SITE

MODULES = ("a", "b")
SHAPES = {"module": "{}.py", "package": "{}/__init__.py", "portion": "{}/part{}.py"}
Shape = tuple[str, str]


def layer(number: int, shapes: Sequence[Shape], name: str) -> Layer:
    files = tuple(
        InstalledFile(path=path, mode=0o644, size=0, sha256="", source=f"/{number}/{path}")
        for path in sorted({f"{SITE}/{SHAPES[shape].format(module, number)}" for module, shape in shapes})
    )
    one = Distribution(name=name, version=str(number), directory=f"{SITE}/{name}-{number}.dist-info", files=files)
    site = Site(root=f"/{number}", folder=SITE, named=f"/{number}")
    return Layer(site=site, distributions=(one,))


SHAPE = st.tuples(st.sampled_from(MODULES), st.sampled_from(sorted(SHAPES)))
LAYERS = st.lists(st.lists(SHAPE, min_size=1, max_size=2, unique_by=lambda shape: shape[0]), min_size=1, max_size=4)


def origin(module: str, path: Sequence[Path]) -> str:
    """Tell the folder that Python would import a module from, or that it is a namespace."""
    spec = importlib.machinery.PathFinder.find_spec(module, [str(folder) for folder in path])
    assert spec is not None
    return Path(spec.origin).read_text() if spec.origin else "namespace"


@given(LAYERS)
def test_in_one_folder_python_finds_what_it_found_along_the_path(tmp_path_factory, shapes: list[list[Shape]]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # pytest's factory
    root: Path = tmp_path_factory.mktemp("layers")
    layers = [layer(number, rows, f"dist{number}") for number, rows in enumerate(shapes)]
    for one in layers:
        for file in one.distributions[0].files:
            put(root / str(one.site.root)[1:] / file.path.removeprefix(f"{SITE}/"), one.site.root)
    stack = stack_layers((), (), layers, target=SITE)
    for distribution in stack.distributions:
        for file in distribution.files:
            put(root / "image" / file.path.removeprefix(f"{SITE}/"), file.source[: file.source.index("/", 1)])
    sys.path_importer_cache.clear()
    along = [root / str(number) for number in range(len(shapes))]
    for module in {module for rows in shapes for module, _ in rows}:
        assert origin(module, [root / "image"]) == origin(module, along)


def put(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    assert not place.exists()
    place.write_text(text)


@given(st.lists(st.sampled_from(["pip", "Pip", "numpy", "ruamel.yaml", "ruamel-yaml"]), min_size=1, max_size=5))
def test_of_a_name_the_first_layer_is_seen(names: list[str]) -> None:
    layers = [layer(number, [("a", "portion")], name) for number, name in enumerate(names)]

    seen = {one.name: one.version for one in stack_layers((), (), layers, target=SITE).distributions}

    spelled = [name.lower().replace(".", "-") for name in names]
    assert sorted(seen.values()) == sorted(str(spelled.index(name)) for name in set(spelled))


def test_files_that_a_module_ahead_hides_are_left_out_with_a_note() -> None:
    layers = [layer(0, [("a", "package")], "first"), layer(1, [("a", "module"), ("b", "module")], "second")]

    stack = stack_layers((), (), layers, target=SITE)

    assert [[file.path for file in one.files] for one in stack.distributions] == [
        [f"{SITE}/a/__init__.py"],
        [f"{SITE}/b.py"],
    ]
    assert [one.code for one in stack.findings] == ["module-hidden"]
