"""Made-up credentials of every kind; put together here, so that no scanner of this repository takes them for real."""

import base64

LETTERS = b"q7Rz0KxVb3NwTf9LmYc2HdJs5PgAe8UiCo6WtXkBn1MyZvGr4EhQjDlSpFuIaO"
BASE64 = base64.b64encode(bytes(range(97, 97 + 90)))


def _letters(length: int) -> bytes:
    return (LETTERS * 3)[:length]


def _upper(length: int) -> bytes:
    return (b"QZ7KXV3NWTF5LMYC2HDJS4PGAE6U" * 3)[:length]


def _web_token() -> bytes:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    payload = base64.urlsafe_b64encode(b'{"sub":"somebody","role":"admin"}').rstrip(b"=")
    return b".".join((header, payload, _letters(43)))


def _pem(kind: bytes, headers: bytes = b"") -> bytes:
    dashes = b"-" * 5
    lines = b"\n".join(BASE64[start : start + 64] for start in range(0, len(BASE64), 64))
    return dashes + b"BEGIN " + kind + dashes + b"\n" + headers + lines + b"\n" + dashes + b"END " + kind + dashes


SECRETS = {
    "pem": (_pem(b"PRIVATE " + b"KEY"), "a private key"),
    "rsa": (
        _pem(b"RSA PRIVATE " + b"KEY", b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00AA\n\n"),
        "a private key",
    ),
    "openssh": (_pem(b"OPENSSH PRIVATE " + b"KEY"), "a private key"),
    "pgp": (_pem(b"PGP PRIVATE " + b"KEY BLOCK", b"Version: GnuPG v2\n\n"), "a private key"),
    "json": (b'{"private_key": "' + _pem(b"PRIVATE " + b"KEY").replace(b"\n", b"\\n") + b'"}', "a private key"),
    "putty": (
        b"PuTTY-User-" + b"Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAA\n",
        "a private key (PuTTY)",
    ),
    "age": (b"AGE-SECRET-" + b"KEY-1" + _upper(58), "a private key (age)"),
    "github": (b"gh" + b"p_" + _letters(36), "a GitHub token"),
    "github-fine": (b"github" + b"_pat_" + _letters(22) + b"_" + _letters(59), "a GitHub token"),
    "gitlab": (b"gl" + b"pat-" + _letters(20), "a GitLab token"),
    "aws": (b"AK" + b"IA" + _upper(16), "an AWS access key"),
    "aws-secret": (b"aws_secret" + b"_access_key = " + _letters(40), "an AWS secret key"),
    "slack": (b"xo" + b"xb-123456780912-" + _letters(24), "a Slack token"),
    "slack-app": (b"xa" + b"pp-1-A0B1C2D3E4F-9988776655443-" + b"0a9f8e7d" * 8, "a Slack token"),
    "pypi": (b"pypi-" + b"AgE" + _letters(120), "a PyPI token"),
    "hugging-face": (b"h" + b"f_" + _letters(34), "a Hugging Face token"),
    "anthropic": (b"sk-" + b"ant-api03-" + _letters(95), "an Anthropic key"),
    "openai": (b"sk-" + b"proj-" + _letters(60), "an OpenAI key"),
    "openai-old": (b"sk-" + _letters(20) + b"T3Blbk" + b"FJ" + _letters(20), "an OpenAI key"),
    "google": (b"AI" + b"za" + _letters(35), "a Google API key"),
    "google-client": (b"GOC" + b"SPX-" + _letters(28), "a Google client secret"),
    "stripe": (b"sk_" + b"live_" + _letters(24), "a Stripe key"),
    "npm": (b"np" + b"m_" + _letters(36), "an npm token"),
    "docker-hub": (b"dckr" + b"_pat_" + _letters(27), "a Docker Hub token"),
    "sendgrid": (b"S" + b"G." + _letters(22) + b"." + _letters(43), "a SendGrid key"),
    "azure": (b"Account" + b"Key=" + _letters(86) + b"==", "an Azure storage key"),
    "web-token": (_web_token(), "a JSON web token"),
}
"""Bytes and kind, by name."""

PLACES = {
    ".netrc": (b"machine example.org\n  login me\n  password hunter2\n", 3, "a password of .netrc"),
    "_netrc": (b"machine example.org login me password hunter2\n", 1, "a password of .netrc"),
    ".pypirc": (b"[pypi]\nusername = me\npassword = hunter2\n", 3, "a password of .pypirc"),
    "pip.conf": (b"[global]\nindex-url = https://me:hunter2@example.org/simple\n", 2, "a password in a URL"),
    "uv.toml": (b'index-url = "https://0a1b2c3d4e5f6a7b@example.org/simple"\n', 1, "a password in a URL"),
    ".git-credentials": (b"https://me:hunter2@example.org\n", 1, "a password in a URL"),
    ".npmrc": (b"//example.org/:_authToken=hunter2\n", 1, "an npm token"),
    "config.json": (b'{"auths": {"example.org": {\n "auth": "bWU6aHVudGVyMg=="}}}', 2, "a docker login"),
    ".env": (b"DEBUG=1\nexport DB_PASSWORD=correct-horse\n", 2, "a secret of .env"),
    ".pgpass": (b"# mine\nexample.org:5432:db:me:hunter2\n", 2, "a password of .pgpass"),
}
"""Bytes, line and kind, by file name."""

HARMLESS = {
    "code.py": b'if text.startswith("-----BEGIN PRIVATE KEY-----"):\n    raise ValueError("a key of some kind")\n',
    "manual.rst": b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMIIE...\n-----END RSA " + b"PRIVATE KEY-----\n",
    "certificate.pem": _pem(b"CERTIFICATE"),
    "public.pem": _pem(b"PUBLIC KEY"),
    "aws.md": b"AK" + b"IAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "sample.md": b"gh" + b"p_" + b"x" * 36 + b" or gh" + b"p_" + b"abcdefghijklmnopqrstuvwxyz1234567890",
    "word.txt": b"laugh" + b"p_" + _letters(36) + b" and 0AK" + b"IA" + _upper(16),
    "dotted.py": b"eyJa" * 8 + b".eyJb" * 1 + b"aaaaaaaaaaaa." + _letters(30),
    "pip.conf": b"[global]\nindex-url = https://${USER}:${TOKEN}@example.org/simple\ntrusted-host = example.org\n",
    ".netrc": b"# machine example.org login me\n",
    ".env": b"API_TOKEN=\nSECRET_KEY=${FROM_VAULT}\n",
    "config.json": b'{"auth": null, "hidden_size": 768}',
    "readme.md": b"Use https://me:hunter2@example.org/simple as your index.\n",
    "hashes.txt": b"numpy --hash=sha256:" + b"0123456789abcdef" * 4,
}
"""What has only the look of it, by file name."""
