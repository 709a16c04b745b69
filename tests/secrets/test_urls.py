"""No secret of a URL survives scrubbing; what names content does."""

import pytest

from envcap.secrets.urls import scrub_text, scrub_url

CASES = {
    "https://me:canary@example.org/simple": "https://example.org/simple",
    "https://canary@example.org:8443/simple/": "https://example.org:8443/simple/",
    "https://example.org/a.whl?token=canary#sha256=1": "https://example.org/a.whl",
    "https://conda.example.org/t/canary/main/linux-64": "https://conda.example.org/main/linux-64",
    f"https://packages.example.org/{'0a1b2c' * 8}/lab/simple": "https://packages.example.org/***/lab/simple",
    f"https://packages.example.org/{'0a1b2c3d' * 2}/simple": "https://packages.example.org/***/simple",
    f"https://wheels.example.org/{'0a1b' * 10}/simple": f"https://wheels.example.org/{'0a1b' * 10}/simple",
    "https://dl.example.org/aB3dE5gH7jK9mN1p/org/simple": "https://dl.example.org/***/org/simple",
    "https://example.org/packages/10/e3/a7f8eea80a9fa8358c1cd89ef489bc03675e69e54ed2982cd6f2a28d8295/six.whl": (
        "https://example.org/packages/10/e3/a7f8eea80a9fa8358c1cd89ef489bc03675e69e54ed2982cd6f2a28d8295/six.whl"
    ),
    "https://[broken/canary": "***",
    "https:me:canary@example.org/simple": "https:///example.org/simple",
}


@pytest.mark.parametrize(("url", "clean"), CASES.items())
def test_a_url_keeps_its_place_and_loses_its_secrets(url: str, clean: str) -> None:
    assert scrub_url(url) == clean


def test_a_message_loses_the_tokens_in_paths_of_urls_and_keeps_other_paths() -> None:
    text = scrub_text("GET https://example.org/aB3dE5gH7jK9mN1p/simple failed in /tmp/aB3dE5gH7jK9mN1p/x.py")
    assert text == "GET https://example.org/***/simple failed in /tmp/aB3dE5gH7jK9mN1p/x.py"


def test_a_message_loses_secrets_and_control_characters() -> None:
    text = scrub_text("no route to https://me:canary@example.org/x?key=canary\x1b[31m " + "x" * 500)
    assert "canary" not in text
    assert "\x1b" not in text
    assert len(text) == 300
