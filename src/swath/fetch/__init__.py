"""From a STAC search to files on this disk: which dates, from where, and whole or not at all.

The room can be called, as `swath.fetch(sites_file, out)`: see `swath.fetch.fetchall.fetch`.
"""

import sys
from pathlib import Path
from types import ModuleType


class _Room(ModuleType):
    """A public function and a room share this name: importing the room must not hide it."""

    def __call__(
        self,
        sites_file: Path | str,
        out: Path | str,
        *,
        replan: bool = False,
        credentials: Path | str | None = None,
    ) -> Path:
        """Fetch what a sites file asks for."""
        from swath.fetch.fetchall import fetch

        return fetch(sites_file, out, replan=replan, credentials=credentials)


sys.modules[__name__].__class__ = _Room
