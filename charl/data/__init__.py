"""Arrays from files: what `charl run` loads and `charl train` trains on."""

from charl.data.files import read_arrays

__all__ = ["read_arrays"]
