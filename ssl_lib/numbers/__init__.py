"""Numbers in text: found, read, written in other forms, scaled and compared."""
