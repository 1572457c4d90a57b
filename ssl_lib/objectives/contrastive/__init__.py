"""The contrastive objective: nine loss terms, a file for each kind.

| file | what it holds |
|---|---|
| `objective.py` | where to start: views, settings, parameters, and which term is taken |
| `ntxent.py` | `token`, `document`, `type`: NT-Xent between augmented views; the all-gather |
| `numbers.py` | `number`, `equivalent`: numbers by their values and by their written forms |
| `sentence_pairs.py` | `hard_negative`, `paraphrase`, `random_pair`, `magnitude`: soft labels |
| `sentence_encoder.py` | the vector of a sentence, which `embed` gives |
| `momentum.py` | a momentum encoder and its queue, in place of `ntxent.py`'s negatives |

A term's selection, which is made before the trunk runs, and its loss stand in one file.
"""
