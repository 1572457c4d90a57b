"""The trunk that all objectives share, and how numbers enter it."""
