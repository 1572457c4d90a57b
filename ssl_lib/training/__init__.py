"""Training: start in trainer.py, whose `train_step` reads from top to bottom.

trainer.py      one step: views, losses, weights, backward, clip, update
optimizer.py    Muon and AdamW, the learning-rate schedule
fit.py          the loop around the step: logging, validation, checkpoints
checkpoint.py   what lets a run go on after a kill
gradients.py    whether the objectives' gradients agree, measured beside the training
stage.py        stage `train`: files in, files out, everything in MLflow
"""
