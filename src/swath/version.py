"""The version of this program; what builds it reads it here, too."""

__version__ = "0.2.0"
