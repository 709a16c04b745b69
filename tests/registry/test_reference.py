import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import UsageError
from envcap.registry.reference import Reference, refuse_userinfo

HEX = "a" * 64

part = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
host = st.one_of(
    st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?){1,3}", fullmatch=True),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]"]),
)
hosts = st.builds(lambda name, port: f"{name}:{port}" if port else name, host, st.integers(0, 65535))
references = st.builds(
    Reference,
    host=hosts,
    repository=st.lists(part, min_size=1, max_size=4).map("/".join),
    tag=st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)),
    digest=st.one_of(st.none(), st.binary(max_size=4).map(Digest.of)),
)


@given(references)
def test_a_reference_reads_back_as_it_was_written(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert Reference.parse(text).repository


def test_a_tag_and_a_digest_may_stand_together() -> None:
    found = Reference.parse(f"Registry.Example.org:5000/lab/ml:2026-11@sha256:{HEX}")

    assert found == Reference(host="registry.example.org:5000", repository="lab/ml", tag="2026-11", digest=Digest(HEX))
    assert found.target == f"sha256:{HEX}"


def test_a_port_is_no_tag() -> None:
    assert Reference.parse("localhost:5000/x") == Reference(host="localhost:5000", repository="x")


def test_without_tag_and_digest_the_tag_of_other_tools_is_meant() -> None:
    assert Reference.parse("registry.example.org/lab/ml").target == "latest"


@pytest.mark.parametrize("text", ["ubuntu", "lab/ml:1", "ml:2026-11", ""])
def test_a_name_without_a_host_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError, match="names no registry") as caught:
        Reference.parse(text)

    assert caught.value.hint == "write it like `registry.example.org/lab/ml:2026-11`"


@pytest.mark.parametrize(
    "text",
    [
        "registry.example.org/",
        "registry.example.org/Lab/ml",
        "registry.example.org/lab//ml",
        "registry.example.org/lab/../ml",
        "registry.example.org/lab/ml:",
        "registry.example.org/lab/ml:a b",
        "registry.example.org/lab/ml:" + "a" * 129,
        "registry.example.org/lab/ml@",
        "registry.example.org/lab/ml@sha512:" + "a" * 128,
        f"registry.example.org/lab/ml@sha256:{HEX.upper()}",
        "registry.example.org/lab/ml@sha256:../x",
        "registry.example.org:0/x",
        "registry.example.org:65536/x",
        "user@registry.example.org/x",
        "user:password@registry.example.org/x",
        "-a.example.org/x",
        "a..example.org/x",
        "registry.example.org/" + "a" * 250,
        "registry.example.org/x\n",
        "registry.exämple.org/x",
        "registry.example.org/" + "a_" * 2000,
    ],
)
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "me:secret-word@registry.example.org/lab/ml:1",
        "https://me:secret-word@registry.example.org/lab/ml",
        "secret-word@registry.example.org/ml@sha256:" + "0" * 64,
        "me:secret-word@registry.example.org",
        "me:secret-word@é/" + "x" * 600,
    ],
)
def test_a_password_in_a_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="no user name or password") as caught:
        Reference.parse(text)
    assert "secret-word" not in f"{caught.value.message} {caught.value.hint}"
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize("text", ["me@lab/ml", "lab/me:x@registry.example.org", "ml@sha256:00", "a/b@sha512:00"])
def test_what_is_no_password_is_let_through(text: str) -> None:
    refuse_userinfo(text)


def test_a_scheme_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(UsageError, match="expected no scheme") as caught:
        Reference.parse("docker://registry.example.org/lab/ml:1")

    assert caught.value.hint == "write `registry.example.org/lab/ml:1`"
