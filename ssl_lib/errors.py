"""The one base of all errors that a user can fix."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can fix: one sentence that names the place and says what to do."""
