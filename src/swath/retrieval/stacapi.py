"""The STAC APIs that swath knows, and any other by its address."""

from dataclasses import dataclass

from swath.errors import SettingsError
from swath.names import check_no_secret, is_address


@dataclass(frozen=True, slots=True)
class StacApi:
    """A server that can be searched for scenes.

    Attributes:
        url: Its root.
        collection: Sentinel-2 Level-2A there.
        hosts: Hosts that may see the user's token.
        token_url: Where a user name and a password become a token (OpenID Connect).
        client_id: Of the public client there.
        sas_url: Where an anonymous token for a collection's files is given (`{collection}`).
        sas_hosts: Endings of the hosts whose addresses need that token.
    """

    url: str
    collection: str = "sentinel-2-l2a"
    hosts: tuple[str, ...] = ()
    token_url: str | None = None
    client_id: str = "cdse-public"
    sas_url: str | None = None
    sas_hosts: tuple[str, ...] = ()


KNOWN_APIS: dict[str, StacApi] = {
    # Free cloud-optimised GeoTIFFs on AWS. c1: Collection 1, reprocessed with one baseline.
    "earth-search": StacApi("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
    "planetary-computer": StacApi(
        "https://planetarycomputer.microsoft.com/api/stac/v1",
        sas_url="https://planetarycomputer.microsoft.com/api/sas/v1/token/{collection}",
        sas_hosts=(".blob.core.windows.net",),
    ),
    # ESA's own JP2 files; downloads need an account.
    "copernicus": StacApi(
        "https://stac.dataspace.copernicus.eu/v1",
        hosts=("download.dataspace.copernicus.eu", "zipper.dataspace.copernicus.eu"),
        token_url="https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
    ),
}
"""By the name that a sites file calls them."""


def find_api(api: str) -> StacApi:
    """The API of a name or a URL.

    Raises:
        SettingsError: Neither, or a URL that may hold a secret.
    """
    if api in KNOWN_APIS:
        return KNOWN_APIS[api]
    check_no_secret(api, "fetch.api")
    if not is_address(api):
        raise SettingsError(f"api {api!r} is neither a URL nor one of {', '.join(KNOWN_APIS)}")
    return StacApi(api.rstrip("/"))
