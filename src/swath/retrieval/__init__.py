"""From a STAC search to files on this disk: which dates, from where, and whole or not at all."""
