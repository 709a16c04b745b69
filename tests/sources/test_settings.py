"""The machine's own index settings: pip's and uv's files and variables, in their order."""

from pathlib import Path

import pytest

from envcap.errors import UsageError
from envcap.sources.settings import DEFAULT_TIMEOUT, IndexSettings, builtin_index_url, find_index_settings
from envcap.sources.uv_settings import uv_cache_folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def find(root: Path, environ: dict[str, str] | None = None, **more: object) -> IndexSettings:
    extra = more.get("extra", ())
    prefix = more.get("prefix")
    assert isinstance(extra, tuple)
    assert prefix is None or isinstance(prefix, Path)
    return find_index_settings(
        environ or {}, root / "home", root / "work", extra_indexes=extra, prefix=prefix, root=root
    )


def urls(settings: IndexSettings) -> list[str]:
    return [index.url for index in settings.indexes]


def test_without_configuration_there_is_pips_default(tmp_path: Path) -> None:
    settings = find(tmp_path)
    assert [(index.name, index.url, index.is_default) for index in settings.indexes] == [
        ("pypi", builtin_index_url(), True)
    ]
    assert settings.indexes[0].hint == ""
    assert settings.timeout == DEFAULT_TIMEOUT


PIP_LAYERS = [
    "etc/xdg/pip/pip.conf",
    "etc/pip.conf",
    "home/.pip/pip.conf",
    "home/.config/pip/pip.conf",
    "env/pip.conf",
]


def test_later_files_of_pip_win(tmp_path: Path) -> None:
    for number, place in enumerate(PIP_LAYERS):
        write(tmp_path / place, f"[global]\nindex-url = https://{number}.example.org/simple\n")
        assert urls(find(tmp_path, prefix=tmp_path / "env"))[0] == f"https://{number}.example.org/simple"
    own = tmp_path / "own.conf"
    write(own, "[global]\nindex_url = https://own.example.org/simple/\n")
    environ = {"PIP_CONFIG_FILE": str(own)}
    assert urls(find(tmp_path, environ, prefix=tmp_path / "env")) == ["https://own.example.org/simple"]
    environ |= {"PIP_INDEX_URL": "https://variable.example.org/simple"}
    assert urls(find(tmp_path, environ)) == ["https://variable.example.org/simple"]
    assert urls(find(tmp_path, {"PIP_CONFIG_FILE": "/dev/null"})) == [builtin_index_url()]


def test_an_own_file_of_pip_hides_the_users(tmp_path: Path) -> None:
    write(tmp_path / "home/.config/pip/pip.conf", "[global]\nextra-index-url = https://user.example.org/simple\n")
    write(tmp_path / "own.conf", "")
    assert urls(find(tmp_path, {"PIP_CONFIG_FILE": str(tmp_path / "own.conf")})) == [builtin_index_url()]


def test_the_install_section_wins_over_the_global_one(tmp_path: Path) -> None:
    text = (
        "[install]\nindex-url = https://install.example.org/simple\n[global]\nindex-url = https://global.example.org\n"
    )
    write(tmp_path / "etc/pip.conf", text)
    assert urls(find(tmp_path)) == ["https://install.example.org/simple"]


def test_the_order_is_default_then_named_then_extra_then_links_then_local(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    environ = {
        "PIP_EXTRA_INDEX_URL": f"file://{folder}/simple\n https://extra.example.org/simple",
        "PIP_FIND_LINKS": f"{folder} https://links.example.org/page.html",
        "UV_INDEX": "lab=https://lab.example.org/simple",
    }
    settings = find(tmp_path, environ, extra=("https://named.example.org/whl/cu121/",))
    assert [(index.name, index.kind, index.is_local) for index in settings.indexes] == [
        ("pypi", "simple", False),
        ("named-example-org-whl-cu121", "simple", False),
        ("extra-example-org", "simple", False),
        ("lab-example-org", "simple", False),
        ("links-example-org-page-html", "find-links", False),
        ("local", "simple", True),
        ("local", "find-links", True),
    ]
    assert settings.indexes[1].hint == "https://named.example.org/whl/cu121"
    assert {index.hint for index in settings.indexes if index.is_local} == {""}


def test_uv_variables_and_files_are_read(tmp_path: Path) -> None:
    write(
        tmp_path / "home/.config/uv/uv.toml",
        '[[index]]\nname = "lab"\nurl = "https://lab.example.org/simple"\n'
        '[[index]]\nurl = "https://own.example.org/simple"\ndefault = true\n'
        '[pip]\nextra-index-url = ["https://extra.example.org/simple"]\n',
    )
    write(tmp_path / "etc/uv/uv.toml", 'find-links = ["/srv/wheels"]\n')
    environ = {"UV_INDEX_LAB_USERNAME": "me", "UV_INDEX_LAB_PASSWORD": "canary", "UV_HTTP_TIMEOUT": "7"}
    settings = find(tmp_path, environ)
    assert urls(settings) == [
        "https://own.example.org/simple",
        "https://lab.example.org/simple",
        "https://extra.example.org/simple",
        "file:///srv/wheels",
    ]
    assert settings.indexes[0].name == "pypi"
    assert settings.timeout == 7
    assert settings.credentials.authorization("https://lab.example.org/simple/numpy/")
    assert not settings.credentials.authorization("https://own.example.org/simple/numpy/")
    environ["UV_DEFAULT_INDEX"] = "https://variable.example.org/simple"
    assert urls(find(tmp_path, environ))[0] == "https://variable.example.org/simple"


def test_no_index_leaves_the_links(tmp_path: Path) -> None:
    environ = {"PIP_NO_INDEX": "true", "PIP_INDEX_URL": "https://lab.example.org/simple", "PIP_FIND_LINKS": "/srv"}
    assert urls(find(tmp_path, environ)) == ["file:///srv"]


def test_broken_files_are_findings_without_their_text(tmp_path: Path) -> None:
    write(tmp_path / "etc/pip.conf", "index-url = https://me:canary@lab.example.org/simple\n")
    write(tmp_path / "home/.config/uv/uv.toml", "index-url = canary\n")
    write(tmp_path / "home/.netrc", "machine lab.example.org password canary login\n")
    settings = find(tmp_path)
    assert [finding.code for finding in settings.findings] == ["config-unreadable", "config-unreadable"]
    assert "canary" not in repr(settings)


def test_userinfo_becomes_a_credential_of_its_host_alone(tmp_path: Path) -> None:
    settings = find(tmp_path, {"PIP_INDEX_URL": "https://me:canary%21@lab.example.org/simple"})
    assert urls(settings) == ["https://lab.example.org/simple"]
    give = settings.credentials.authorization
    assert give("https://lab.example.org/files/a.whl") == "Basic bWU6Y2FuYXJ5IQ=="
    for other in ("http://lab.example.org/", "https://lab.example.org:8443/", "https://files.example.org/"):
        assert give(other) == ""
    assert "canary" not in repr(settings)


def test_two_users_of_one_host_are_told_apart_by_path(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://a:1@lab.example.org/one/simple",
        "PIP_EXTRA_INDEX_URL": "https://b:2@lab.example.org/two/simple",
    }
    give = find(tmp_path, environ).credentials.authorization
    assert give("https://lab.example.org/one/simple/numpy/") != give("https://lab.example.org/two/simple/numpy/")


def test_netrc_serves_named_hosts_only(tmp_path: Path) -> None:
    write(tmp_path / "home/.netrc", "machine lab.example.org login me password p\ndefault login any password canary\n")
    give = find(tmp_path).credentials.authorization
    assert give("https://lab.example.org/simple/")
    assert not give("https://elsewhere.example.org/simple/")


def test_pips_certificate_wins_over_the_general_ones(tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": "/ssl.pem"}
    assert find(tmp_path, environ).certificate == Path("/ssl.pem")
    environ["REQUESTS_CA_BUNDLE"] = "/requests.pem"
    assert find(tmp_path, environ).certificate == Path("/requests.pem")
    environ["PIP_CERT"] = "/pip.pem"
    assert find(tmp_path, environ).certificate == Path("/pip.pem")


def test_an_index_that_is_no_place_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, extra=("ftp://me:canary@example.org/simple",))
    assert "canary" not in str(caught.value)


def test_a_configured_url_that_is_none_is_a_finding(tmp_path: Path) -> None:
    settings = find(tmp_path, {"PIP_EXTRA_INDEX_URL": "https://[::1/simple"})
    assert urls(settings) == [builtin_index_url()]
    assert [finding.code for finding in settings.findings] == ["config-unreadable"]


def test_proxies_come_from_the_given_variables(tmp_path: Path) -> None:
    proxies = find(
        tmp_path, {"HTTPS_PROXY": "proxy.example.org:3128", "no_proxy": "a.example.org, .b.example.org"}
    ).proxies
    assert (proxies.http, proxies.https) == ("", "http://proxy.example.org:3128")
    assert proxies.bypass == ("a.example.org", ".b.example.org")
    assert find(tmp_path, {"PIP_PROXY": "proxy.example.org:1"}).proxies.http == "http://proxy.example.org:1"


@pytest.mark.parametrize(
    ("environ", "config", "expected"),
    [
        ({}, "", "home/.cache/uv"),
        ({"XDG_CACHE_HOME": "/caches"}, "", "/caches/uv"),
        ({"XDG_CACHE_HOME": "relative"}, "", "home/.cache/uv"),
        ({}, 'cache-dir = "/big/uv"', "/big/uv"),
        ({"UV_NO_CONFIG": "1"}, 'cache-dir = "/big/uv"', "home/.cache/uv"),
        ({"UV_CACHE_DIR": "/named", "XDG_CACHE_HOME": "/caches"}, 'cache-dir = "/big/uv"', "/named"),
        ({"UV_CACHE_DIR": "here"}, "", "work/here"),
        ({}, "cache-dir = [", "home/.cache/uv"),
    ],
)
def test_uv_s_cache_is_where_uv_has_it(tmp_path: Path, environ: dict[str, str], config: str, expected: str) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    (home / ".config/uv").mkdir(parents=True)
    (home / ".config/uv/uv.toml").write_text(config)
    assert uv_cache_folder(environ, home, work, root=tmp_path) == tmp_path / expected
