"""From text to tokens: numerals, encodings and the token store."""
