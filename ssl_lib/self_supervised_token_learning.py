"""The import name of the guide.

It is installed at the top level beside `ssl_lib` (see pyproject.toml) and holds the same objects
under the same names.
"""

from __future__ import annotations

import ssl_lib

__all__ = [*ssl_lib.__all__]
__getattr__ = ssl_lib.__getattr__
__dir__ = ssl_lib.__dir__
