"""The five self-supervised objectives, one file each; docs/objectives.md adds a sixth.

Start with `base.py`: what an objective is, and how several run on one trunk; then read
`masked_language_model.py`, the shortest.

| file | what it holds |
|---|---|
| `base.py` | the base class, the group on one trunk, the cross-entropy over a vocabulary |
| `registry.py` | the objectives by name, made together from the settings |
| `masked_language_model.py`, `next_token.py`, `denoising.py` | one objective each |
| `numerical.py` | token types and values, with the value heads and their predictions |
| `contrastive/` | nine terms, a file for each kind; start with its `objective.py` |
| `held_out.py` | losses on held-out sequences |
| `model_folder.py` | a model on disk |
"""
