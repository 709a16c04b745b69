import pprint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.interpreter.sysconfigdata import read_sysconfigdata, relocate_sysconfigdata, write_sysconfigdata

HEADER = "# system configuration generated and used by the sysconfig module\n"


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers()))
def test_what_is_written_is_read_back(variables: dict[str, str | int]) -> None:
    assert read_sysconfigdata(write_sysconfigdata(variables)) == variables


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers()))
def test_cpythons_own_form_is_read(variables: dict[str, str | int]) -> None:
    text = f"{HEADER}build_time_vars = {pprint.pformat(variables)}\n"
    assert read_sysconfigdata(text.encode("utf-8", "surrogatepass")) == variables


def test_the_written_form_is_pinned() -> None:
    data = write_sysconfigdata({"prefix": "/opt/pythön", "A": 1})
    assert data == (HEADER + "build_time_vars = {\n 'A': 1,\n 'prefix': '/opt/pyth\\xf6n',\n}\n").encode()


def test_a_path_that_pprint_broke_at_a_space_is_relocated() -> None:
    flags = "-L/home/u/my python/lib " * 6
    data = f"build_time_vars = {pprint.pformat({'LDFLAGS': flags})}\n".encode()
    assert b"/home/u/my '\n" in data
    done = relocate_sysconfigdata(data, lambda value: value.replace(b"/home/u/my python", b"/opt/python"))
    assert read_sysconfigdata(done) == {"LDFLAGS": "-L/opt/python/lib " * 6}


def test_cpythons_form_and_uvs_form_give_the_same_bytes() -> None:
    one = b"build_time_vars = {'A': '1 '\n 'x', 'B': 2}\n"
    two = b'# comment\nbuild_time_vars = {\n    "B": 2,\n    "A": "1 x"\n}\n'
    assert relocate_sysconfigdata(one, bytes) == relocate_sysconfigdata(two, bytes)


@pytest.mark.parametrize(
    "data",
    [
        b"build_time_vars = dict(prefix='/old')\n",
        b"build_time_vars = {'prefix': ['/old']}\n",
        b"build_time_vars = '/old'\n",
        b"other = {'prefix': '/old'}\n",
        b"build_time_vars = {'prefix': '/old'\n",
        b"\xff/old",
    ],
)
def test_another_form_is_relocated_as_text_and_never_run(data: bytes) -> None:
    assert read_sysconfigdata(data) is None
    assert relocate_sysconfigdata(data, lambda value: value.replace(b"/old", b"/new")) == data.replace(b"/old", b"/new")
