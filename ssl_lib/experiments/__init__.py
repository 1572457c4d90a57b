"""Studies over runs: each trains or reads several models and compares them.

tuning.py      stage `tune`: Optuna over loss weights, temperature, learning rates
ablation.py    `ssl-lib ablate`: models of some of the objectives; start reading here
subsets.py     which subsets of the objectives, how one is trained, how its model is evaluated
transfer.py    what an ablation found: a table, a file, a picture
comparison.py  `ssl-lib compare`: runs of the store side by side
"""
