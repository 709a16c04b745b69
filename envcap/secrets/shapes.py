"""Shapes of tokens and keys that are credentials wherever they stand, each named by its anchor, a literal part.

A file is searched for the anchors, which costs little, and only where one is found the pattern is tried. Patterns are
bounded, so that a window of `LONGEST` bytes always holds a whole match.
Sources: the providers' own documents of their token formats (GitHub, GitLab, PyPI, Slack, AWS, Google, Hugging Face);
RFC 7468 (PEM), RFC 7519 (JSON web tokens).
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SHAPE_RULES: Final = 1
"""Raised when shapes or places change: what was looked through before is then looked through again."""

LONGEST: Final = 4096
"""No match is longer."""


def _always(_match: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of credential.

    Attributes:
        kind: Its name for people.
        anchor: Bytes that every match begins with.
        pattern: Tried where the anchor is found.
        is_real: Tells a credential from what only has its shape (the samples of manuals).
    """

    kind: str
    anchor: bytes
    pattern: re.Pattern[bytes]
    is_real: Callable[[bytes], bool] = _always


def _shape(kind: str, anchor: bytes, rest: bytes, is_real: Callable[[bytes], bool] = _always) -> Shape:
    # A token stands for itself: what runs on before it is a longer word, such as base64 or an identifier.
    return Shape(
        kind=kind,
        anchor=anchor,
        pattern=re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(anchor) + rest),
        is_real=is_real,
    )


def _is_no_sample(token: bytes) -> bool:
    """Tell a token from a sample: manuals write EXAMPLE, one character again and again, or the alphabet."""
    lower = token.lower()
    if any(word in lower for word in (b"example", b"abcdefghij", b"1234567890", b"0123456789")):
        return False
    return len(set(token[-16:])) > 4  # noqa: PLR2004 - `xxxx…`, `12341234…`


def _is_token(match: bytes) -> bool:
    """Tell a JSON web token from three words: its header is JSON and names an algorithm. Not the sample of jwt.io."""
    header, payload, _ = match.split(b".", 2)
    if payload.startswith(b"eyJzdWIiOiIxMjM0NTY3ODkwI"):
        return False
    try:
        found = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("alg"), str)


# After the first line of a key, headers may follow (RFC 1421), then base64; source code that merely names the line
# has none. The end of a line may be written as `\n`, as in JSON.
_KEY = rb"[A-Z0-9 ]{0,20}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S]){0,512}?(?:\s|\\n|[\"'])[A-Za-z0-9+/]{40}"

SHAPES: Final = (
    Shape(kind="a private key", anchor=b"-----BEGIN ", pattern=re.compile(rb"-----BEGIN " + _KEY)),
    _shape("a private key (PuTTY)", b"PuTTY-User-Key-File-", rb"\d: [\s\S]{0,2048}?Private-Lines: \d"),
    _shape("a private key (age)", b"AGE-SECRET-KEY-1", rb"[0-9A-Z]{58}(?![0-9A-Z])", _is_no_sample),
    *(
        _shape("a GitHub token", anchor, rb"[A-Za-z0-9]{36}", _is_no_sample)
        for anchor in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    _shape("a GitHub token", b"github_pat_", rb"[A-Za-z0-9_]{60}", _is_no_sample),
    *(
        _shape("a GitLab token", anchor, rb"[A-Za-z0-9_-]{20}", _is_no_sample)
        for anchor in (b"glpat-", b"gldt-", b"glrt-", b"glptt-", b"glcbt-")
    ),
    *(
        _shape("an AWS access key", anchor, rb"[A-Z2-7]{16}(?![A-Za-z0-9+/=_])", _is_no_sample)
        for anchor in (b"AKIA", b"ASIA")
    ),
    *(
        _shape("an AWS secret key", anchor, rb"[\"']?\s{0,8}[=:]\s{0,8}[\"']?[A-Za-z0-9/+]{40}", _is_no_sample)
        for anchor in (b"aws_secret_access_key", b"AWS_SECRET_ACCESS_KEY", b"SecretAccessKey")
    ),
    *(
        _shape("a Slack token", anchor, rb"[0-9]{8,14}-[A-Za-z0-9-]{16}", _is_no_sample)
        for anchor in (b"xoxb-", b"xoxp-", b"xoxa-", b"xoxr-", b"xoxs-")
    ),
    _shape("a Slack token", b"xapp-", rb"\d-[A-Z0-9]{8,16}-\d{8,16}-[a-f0-9]{32}", _is_no_sample),
    _shape("a PyPI token", b"pypi-AgE", rb"[A-Za-z0-9_-]{60}", _is_no_sample),
    _shape("a Hugging Face token", b"hf_", rb"[A-Za-z0-9]{34}(?![A-Za-z0-9_])", _is_no_sample),
    _shape("an Anthropic key", b"sk-ant-", rb"[a-z0-9]{2,12}-[A-Za-z0-9_-]{60}", _is_no_sample),
    *(
        _shape("an OpenAI key", anchor, rb"[A-Za-z0-9_-]{40}", _is_no_sample)
        for anchor in (b"sk-proj-", b"sk-svcacct-", b"sk-admin-")
    ),
    _shape("an OpenAI key", b"sk-", rb"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", _is_no_sample),
    _shape("a Google API key", b"AIza", rb"[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])", _is_no_sample),
    _shape("a Google client secret", b"GOCSPX-", rb"[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])", _is_no_sample),
    *(_shape("a Stripe key", anchor, rb"[A-Za-z0-9]{24}", _is_no_sample) for anchor in (b"sk_live_", b"rk_live_")),
    _shape("an npm token", b"npm_", rb"[A-Za-z0-9]{36}(?![A-Za-z0-9_])", _is_no_sample),
    _shape("a Docker Hub token", b"dckr_pat_", rb"[A-Za-z0-9_-]{27}", _is_no_sample),
    _shape("a SendGrid key", b"SG.", rb"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", _is_no_sample),
    _shape("an Azure storage key", b"AccountKey=", rb"[A-Za-z0-9+/]{86}==", _is_no_sample),
    _shape(
        "a JSON web token",
        b"eyJ",
        rb"[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{20}",
        _is_token,
    ),
)
"""Looked for in every file, in this order."""

ANCHORS: Final = re.compile(b"|".join(sorted({re.escape(shape.anchor) for shape in SHAPES})))
"""Finds the next anchor of any shape. One search for all of them: faster than one for each in binaries, and as fast in
texts."""
