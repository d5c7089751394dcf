"""What `swath fetch` shows to whom, and what it never prints or writes."""

import datetime as dt
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from support.fetch_world import BEST, DAYS, World, error_line, fetch, start, tree
from support.stac_server import Shot, earth_search_item
from swath.retrieval import stacapi
from swath.retrieval.stacapi import StacApi

pytestmark = pytest.mark.usefixtures("loopback_only")


def needs_login(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FETCH_USER", "someone")
    monkeypatch.setenv("SWATH_FETCH_PASSWORD", world.files.password)
    monkeypatch.setenv("SWATH_FETCH_TOKEN_URL", f"{world.files.url}/token")
    monkeypatch.setenv("SWATH_FETCH_HOSTS", "127.0.0.1")
    world.files.token = "none yet"


def test_expired_tokens_are_renewed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    needs_login(world, monkeypatch)
    world.files.lives = 4  # requests
    assert fetch(world.sites(), tmp_path / "out", "--json") == 0
    assert world.files.logins > 2
    secret = ("token-", world.files.password)
    shown = capfd.readouterr()
    assert not any(word in shown.out + shown.err for word in secret)
    assert not any(word.encode() in data for data in tree(tmp_path).values() for word in secret)


def test_wrong_password_is_one_line_without_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    needs_login(world, monkeypatch)
    monkeypatch.setenv("SWATH_FETCH_PASSWORD", "wrong-password")
    assert fetch(world.sites(), tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert "gives no token (status 401); check user and password" in error
    assert "wrong-password" not in error


def test_tokens_go_to_named_hosts_only(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FETCH_TOKEN", "my-token")
    assert fetch(world.sites(), tmp_path / "out") == 0
    assert not any(world.files.authorizations + world.api.authorizations)

    world.files.token = "my-token"
    monkeypatch.setenv("SWATH_FETCH_HOSTS", "127.0.0.1")
    assert fetch(world.sites(), tmp_path / "again") == 0
    assert "Bearer my-token" in world.files.authorizations
    assert "Bearer my-token" in world.api.authorizations


def test_credentials_file_must_be_private(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "credentials.yaml"
    file.write_text("token: my-token\nhosts: 127.0.0.1\n")
    file.chmod(0o640)
    out = tmp_path / "out"
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    error = capsys.readouterr().err
    assert f"(mode 640); run: chmod 600 {file}" in error
    assert "my-token" not in error
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    world.files.token = "my-token"
    assert fetch(world.sites(), out, "--credentials", str(file)) == 0

    file.write_text("tokn: my-token\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "unknown key 'tokn'" in capsys.readouterr().err
    file.write_text("password: [my-token]\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "my-token" not in error_line(capsys)
    file.write_text("password: 'my-token\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "my-token" not in error_line(capsys)
    assert fetch(world.sites(), out, "--credentials", str(tmp_path / "none")) == 2


def test_storage_tokens_are_appended_and_kept_out_of_sight(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (world.folder / "sas.json").write_text(json.dumps({"token": "sig=secret-sas"}))
    preset = StacApi(world.api.url, sas_url=f"{world.files.url}/sas.json", sas_hosts=("127.0.0.1",))
    monkeypatch.setitem(stacapi.KNOWN_APIS, "planetary-computer", preset)
    sites = world.sites(api="planetary-computer")
    world.files.fault = lambda path, before: "404" if "20220912/visual" in path else None
    assert fetch(sites, tmp_path / "out") == 0
    assert world.files.asked("visual.tif?sig=secret-sas") > 0
    assert world.files.asked("sas.json") == 1
    assert not any(b"secret-sas" in data for data in tree(tmp_path / "out").values())
    world.files.fault = lambda path, before: "404" if "visual" in path else None
    assert fetch(sites, tmp_path / "again") == 2
    assert "secret-sas" not in capfd.readouterr().err


def test_signed_addresses_are_not_kept_and_had_anew(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A catalogue that signs what it lists, as some do: the plan must not pass that on.
    def signed(item: dict[str, Any], secret: str) -> dict[str, Any]:
        for asset in item["assets"].values():
            if asset["href"].startswith("http"):
                asset["href"] += f"?sig={secret}"
        return item

    shots = [DAYS[dt.date.fromisoformat(day)] for day in BEST]
    folder = tmp_path / "signed"

    def shape(shot: Shot, url: str, files: dict[str, Path]) -> dict[str, Any]:
        return signed(earth_search_item(shot, url, files), "first-secret")

    for private in start(folder, shots, shape):
        sites, out = private.sites(), tmp_path / "out"
        private.files.fault = lambda path, before: "404" if "20220912_0_L2A/visual" in path else None
        assert fetch(sites, out) == 2
        assert private.files.asked("visual.tif?sig=first-secret") > 0
        assert not any(b"first-secret" in data for data in tree(out).values())
        assert "first-secret" not in capsys.readouterr().err
        # The run goes on: the missing item is looked up again, for its own day only.
        private.files.fault = lambda path, before: None
        private.api.requests.clear()
        private.files.requests.clear()
        assert fetch(sites, out) == 0
        assert private.files.asked("visual.tif?sig=first-secret") > 0
        assert private.files.asked("20220110") == 0
        assert any(private.api.requests)
        assert not any(b"first-secret" in data for data in tree(out).values())
        # Nothing is left to be fetched: nobody is asked.
        private.api.requests.clear()
        assert fetch(sites, out) == 0
        assert not private.api.requests


@pytest.mark.parametrize("secret", ["user:secret@127.0.0.1:1/v1", "127.0.0.1:1/v1?key=secret", "secret@[::"])
def test_secrets_in_addresses_are_refused_and_not_repeated(
    secret: str, world: World, tmp_path: Path, capfd: Any
) -> None:
    """A sites file is passed on; and what it names is printed."""
    assert fetch(world.sites(api=f"http://{secret}"), tmp_path / "out") == 2
    sites = world.sites()
    text = sites.read_text().replace("roads.geojson", f"{{overpass: 'http://{secret}', date: 2022-01-01}}")
    sites.write_text(text)
    assert fetch(sites, tmp_path / "out") == 2
    shown = capfd.readouterr()
    assert "fetch.api: an address with" in shown.err
    assert "overpass: an address with" in shown.err
    assert "secret@" not in shown.out + shown.err
    assert "=secret" not in shown.out + shown.err
    assert not any(b"secret" in data for data in tree(tmp_path / "out").values())


@pytest.mark.parametrize("api", ["http://[::", "http://host:port/", "http://", "ftp://host/"])
def test_what_is_no_address_is_one_line(api: str, world: World, tmp_path: Path, capsys: Any) -> None:
    assert fetch(world.sites(api=api), tmp_path / "out") == 2
    assert "neither a URL nor one of" in error_line(capsys)
