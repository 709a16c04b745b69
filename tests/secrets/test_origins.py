"""Taking secrets out of URLs. All of the secrets here are made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.secrets.urls import REDACTED, scrub_origin

CANARY = "s3cr3tCanary0123456789"
HEX = "5ec2e7" * 8


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@example.org/a.whl",
        f"https://{CANARY}@example.org/a.whl",
        f"https://a@{CANARY}@example.org/a.whl",
        f"https://example.org/t/{CANARY}/channel/a.whl",
        f"https://example.org/t/{CANARY}",
        f"https://example.org/a.whl?token={CANARY}",
        f"https://example.org/a.whl?X-Amz-Signature={CANARY}&X-Amz-Credential={CANARY}",
        f"https://example.org/a.whl?sig={CANARY}&se=2026&sp=r",
        f"https://example.org/a.whl?harmless={CANARY}",
        f"https://example.org/a.whl?{CANARY}",
        f"https://example.org/a.whl#access_token={CANARY}",
        f"https://example.org/ghp_{CANARY}/a.whl",
        f"https://example.org/my-ghp_{CANARY}/a.whl",
        f"https://example.org/a_sk-{CANARY}.git",
        f"https://example.org/pypi-AgE{CANARY}/a.whl",
        f"https://example.org/{CANARY}/a.whl",
        f"https://example.org/lab/{CANARY}",
        f"https://example.org/{HEX}/lab/a.whl",
        f"git+https://oauth2:glpat-{CANARY}@example.org/a.git",
        f"git+ssh://{CANARY}:x@example.org/a.git",
        f"https:user:{CANARY}@example.org/a.whl",
        f"https://[{CANARY}/a.whl",
        f"https://user:{CANARY}\n@example.org/a.whl",
    ],
)
def test_no_secret_survives(url: str) -> None:
    assert CANARY not in scrub_origin(url)
    assert HEX not in scrub_origin(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/packages/a-1.0.whl",
        "https://example.org:8443/a.whl#sha256=" + "0" * 64,
        f"https://example.org/{'0a1b' * 10}/a.whl",
        f"https://example.org/packages/10/e3/{'0a1b2c' * 10}/a.whl",
        "https://example.org/a.zip#egg=a&subdirectory=b",
        "https://example.org/download?ref=v1.0&name=a",
        "ssh://git@example.org/a/b.git",
        "https://example.org/lab/task-management-system.git",
        "https://example.org/dl/flask-restful-extended-1.0.zip",
        "https://example.org/artifactory/api/pypi/pypi-remote-cache/a-1.0-py3-none-any.whl",
        "file:///some/where/project",
        "file:///some/t/project",
    ],
)
def test_url_without_secrets_stays_as_it_is(url: str) -> None:
    assert scrub_origin(url) == url


def test_url_that_makes_no_sense_is_redacted_whole() -> None:
    assert scrub_origin("https://[::1") == REDACTED


@given(st.text(max_size=80))
def test_scrubbing_any_text_ends_and_is_stable(text: str) -> None:
    once = scrub_origin(text)

    assert once.isprintable()
    assert scrub_origin(once) == once


@given(
    st.text(min_size=8, max_size=30, alphabet="abcdefghijklmnop0123456789"),
    st.sampled_from(["https", "git+https", "http"]),
)
def test_password_never_survives(password: str, scheme: str) -> None:
    url = f"{scheme}://me:{password}@example.org/x"

    assert scrub_origin(url) == f"{scheme}://example.org/x"
