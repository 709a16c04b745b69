from pathlib import Path

import pytest

from envcap.errors import RegistryError
from envcap.registry.credentials import run_helper
from envcap.registry.manifests import list_tags
from envcap.registry.settings import RegistrySettings, find_registry_settings
from envcap.sources.proxies import Proxies
from tests.registry.fake_registry import FakeRegistry, serve
from tests.registry.machine import connect


def find(environ: dict[str, str], folder: Path, realms: tuple[str, ...] = ()) -> RegistrySettings:
    return find_registry_settings(environ, folder, run=run_helper(environ), realms=realms, root=folder)


def test_token_servers_are_named_by_the_user_and_by_a_variable(tmp_path: Path) -> None:
    environ = {"ENVCAP_TOKEN_REALMS": "Auth.example.org, b.example.org:8443,"}

    assert find(environ, tmp_path, ("c.example.org",)).realms == {
        "auth.example.org",
        "b.example.org:8443",
        "c.example.org",
    }


def test_without_a_variable_nothing_is_allowed(tmp_path: Path) -> None:
    settings = find({}, tmp_path)

    assert settings.realms == frozenset()
    assert not settings.plain_http
    assert settings.bundle is None


def test_a_bundle_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    settings = find({"SSL_CERT_FILE": str(tmp_path / "nowhere.pem")}, tmp_path)

    with pytest.raises(RegistryError, match="A configured CA certificate can't be read: FileNotFoundError"):
        connect("registry.example.org", settings)


def test_a_proxy_is_asked_for_others_and_never_for_this_machine() -> None:
    with serve(FakeRegistry()) as proxy, serve(FakeRegistry()) as registry:
        settings = RegistrySettings(proxies=Proxies(http=proxy.url, https=proxy.url), plain_http=True, timeout=5)
        with connect(registry.host, settings) as connection:
            assert list_tags(connection, "x") == ()
        assert proxy.asked == []
        with connect("registry.example.org", settings) as connection:
            list_tags(connection, "x")

    assert [asked.path for asked in proxy.asked] == ["http://registry.example.org/v2/x/tags/list?n=1000"]


def test_a_proxy_that_is_no_url_is_one_line() -> None:
    with pytest.raises(RegistryError, match="The configured proxy is no URL"):
        connect("registry.example.org", RegistrySettings(proxies=Proxies(https="nonsense://user:canary@x")))
