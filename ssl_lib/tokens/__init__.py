"""From text to tokens with the numbers among them. Trains and reads encodings; no model.

Start with `encodings.py` (text to ids and back) and `alignment.py` (`tokenize_texts`).

* `encodings.py`: tiktoken's encodings, trained ones, and how they are saved.
* `fetch.py`: files of published vocabularies, checked and with a deadline.
* `digits.py`: how digits are cut into groups.
* `vocabulary.py`: one table of what each entry of an encoding is.
* `running_values.py`: the value of a number so far, from ids alone.
* `alignment.py`: documents to tokens, numbers and token types, in memory.
* `store.py`: the same on disk, and stage `tokenize`.
"""
