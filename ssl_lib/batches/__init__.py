"""Batches of token sequences, and the views of them that objectives read. No model.

Start with `views.py`: a `View` is what the encoder sees and what it is to recover.

* `batch.py`: a `Batch` is clean sequences with the numbers in them.
* `datasets.py`: where batches come from: packed sequences of a token store, texts in memory.
* `views.py`: `View`, the causal view, sentences.
* `corruption.py`: the masked and the corrupted view, and the choice of their positions.
* `rewriting.py`: numeric hard negatives and equivalent forms of numbers.
* `curriculum.py`: which tokens a step prefers to corrupt.
"""
