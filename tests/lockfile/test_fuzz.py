"""Whatever is done to a lock, its reader gives a lock or a `LockfileError`, never anything else."""

import itertools
import random
import tomllib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from envcap.errors import LockfileError
from envcap.lockfile.document import read_lockfile, write_lockfile
from envcap.lockfile.toml import dump_toml
from tests.lockfile.small import SMALL, SMALL_TEXT
from tests.lockfile.tables import Step, at, drop, put, read_sealed, small_table

NASTY: tuple[object, ...] = (
    *(
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a\\b",
        "C:\\x",
        "CON",
        ".wh.x",
        "~",
        "$HOME",
        "${PIP}",
        "%s%n",
    ),
    *(
        "\x00",
        "\n",
        "\r",
        "\t",
        "\x1b[2J",
        "\x7f",
        "\u202e",
        "\u2028",
        "\x85",
        "é",
        "\U0001d538",
        '"',
        "'",
        '"""',
        "'''",
        "#",
    ),
    *("a" * 64, "A" * 64, "a" * 32, f"sha256:{'a' * 64}", "sha256:", "linux/amd64", "1.0", "pypi", "captured"),
    *("x" * 5000, " ", "a b", "a=b", "]", "[[packages]]", "--index-url", "; rm -rf /"),
    *(0, 1, -1, 2**31, 2**53 - 1, 2**53, -(2**63), 2**70, 10**40, True, False),
    *([], {}, [[]], [{}], {"a": {}}, ["x"], [0], [True], {"": ""}, {"platform": "x"}, {"a.b": 1}),
)
EXTRA: tuple[object, ...] = ("", "y", 1, [], {}, [{}])
RAW = ("1.5", "inf", "nan", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", f"0x{'f' * 5000}", "9" * 5000, "'x'")


def places(table: object, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Yield the path of every value in a table, the containers' too."""
    if path:
        yield path
    if isinstance(table, dict):
        for key, value in table.items():
            yield from places(value, (*path, key))
    elif isinstance(table, list):
        for index, value in enumerate(table):
            yield from places(value, (*path, index))


PLACES = tuple(places(small_table()))


Mutation = Callable[[], dict[str, object]]


def mutations() -> Iterator[Mutation]:
    table = small_table()
    for path, value in itertools.product(PLACES, NASTY):
        yield partial(put, table, path, value)
    for path in PLACES:
        yield partial(drop, table, path)
        inner = at(table, path)
        if isinstance(inner, dict):
            yield from (partial(put, table, [*path, key], value) for key in ("x", "\x1b", "a.b") for value in EXTRA)
        if isinstance(inner, list):
            yield from (partial(put, table, path, [*inner, value]) for value in ("y", 1, {}, *inner))
    for key in ("x", "lock_version", "\x00", "é" * 5000):
        yield from (partial(put, table, [key], value) for value in EXTRA)


MUTATIONS = tuple(mutations())


def test_every_changed_value_gives_a_lock_or_our_error() -> None:
    tried = accepted = 0
    messages: set[str] = set()
    for mutation in random.Random(0).sample(MUTATIONS, 2400):
        table = mutation()
        tried += 1
        try:
            lockfile = read_sealed(table)
        except LockfileError as error:
            messages.add(error.message)
            continue
        accepted += 1
        assert read_lockfile(write_lockfile(lockfile)) == lockfile
    assert tried == 2400
    assert [text for text in messages if not text.isprintable() or len(text) > 1000] == []
    assert 100 < accepted < tried // 4  # free text (a build string, a label) takes most strings; nothing else does


def test_a_changed_value_without_a_new_digest_gives_the_same_environment_or_our_error() -> None:
    for mutation in random.Random(1).sample(MUTATIONS, 600):
        table = mutation()
        try:
            lockfile = read_lockfile(dump_toml(table))
        except LockfileError:
            continue
        changed = {key for key in {*table, *small_table()} if table.get(key) != small_table().get(key)}
        assert changed <= {"name", "expected"} or lockfile == SMALL


@pytest.mark.parametrize("raw", RAW)
def test_values_that_only_toml_has_give_our_error(raw: str) -> None:
    lines = SMALL_TEXT.split("\n")
    tried = 0
    for number, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        if equals:
            tried += 1
            with pytest.raises(LockfileError):
                read_lockfile("\n".join([*lines[:number], f"{key} = {raw}", *lines[number + 1 :]]))
    assert tried > 40


def test_damaged_text_gives_the_same_lock_or_our_error() -> None:
    rng = random.Random(2)
    alphabet = "\"'\\[]{}=#,.\n\t\x00\x1b\ud800é019aeZ-_ "
    messages: set[str] = set()
    for _ in range(800):
        text = list(SMALL_TEXT)
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(text))
            text[start : start + rng.choice([0, 1, 1, 1, 40])] = rng.choice(alphabet)
        damaged = "".join(text)
        try:
            lockfile = read_lockfile(damaged)
        except LockfileError as error:
            messages.add(error.message)
            continue
        changed = {key for key, value in tomllib.loads(damaged).items() if value != small_table().get(key)}
        assert changed <= {"name", "expected"} or lockfile == SMALL
    assert [text for text in messages if not text.isprintable()] == []
