"""The user's own function that takes out of texts what a corpus must not hold: `corpus.redact`.

It is named by module and function, `redaction:without_names`, so that every process finds it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ssl_lib.corpus.problems import CorpusError
from ssl_lib.files import sha256_of


def redacted(text: str, name: str, source: str) -> str:
    """A text as the function `name` returns it; the text itself where no function is named.

    Raises CorpusError, which names the text's `source`, where the function fails or returns
    something else than a string.
    """
    if not name:
        return text
    function = find(name)
    try:
        result = function(text)
    except Exception as error:
        # the traceback of the user's own code stays with `--debug`
        problem = f"failed on a text of {source} ({type(error).__name__}: {error}); correct it"
        raise CorpusError(f"corpus.redact: {name} {problem}") from error
    if not isinstance(result, str):
        problem = f"returned {type(result).__name__} for a text of {source}; return a string"
        raise CorpusError(f"corpus.redact: {name} {problem}")
    return result


@lru_cache(maxsize=8)
def find(name: str) -> Callable[[str], Any]:
    """The function of a name such as `package.module:function`.

    Modules of the current folder are found too, after those that are installed. Raises CorpusError
    where there is none.
    """
    module_name, _, path = name.partition(":")
    # a console script has its own folder on the path, not the project's
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        advice = f"put {module_name} into the project's folder or install it"
        raise CorpusError(f"corpus.redact: {name} cannot be imported ({error}); {advice}") from None
    except Exception as error:
        problem = f"cannot be imported ({type(error).__name__}: {error}); correct it"
        raise CorpusError(f"corpus.redact: {name} {problem}") from error
    # "package.module:Rules.without_names" → a function in a class of the module
    try:
        for part in path.split("."):
            found = getattr(found, part)
    except AttributeError:
        message = f"module {module_name} has no {path}; name one of its functions"
        raise CorpusError(f"corpus.redact: {message}") from None
    if not callable(found):
        kind = type(found).__name__
        raise CorpusError(f"corpus.redact: {name} is {kind}; name a function of a text")
    function: Callable[[str], Any] = found
    return function


def described(name: str) -> dict[str, str] | None:
    """What the manifest says of the function: its name, and the SHA-256 of the module's file.

    None where no function is named. Modules that are built into Python have no file.
    """
    if not name:
        return None
    find(name)
    found = {"function": name}
    module = sys.modules[name.partition(":")[0]]
    if file := getattr(module, "__file__", None):
        found["sha256"] = sha256_of(Path(file))
    return found
