"""The shared encoder, and how numbers enter it. No objective, no batch.

Start with `trunk.py`: `Trunk.forward` is token ids to hidden states.

* `trunk.py`: the encoder, its shape, and the vocabulary matrix that input and output share.
* `layers.py`: a block's attention, feed-forward and short convolution; masks and rotary positions.
* `number_embedding.py`: the value of a number as features.
* `renamed_weights.py`: names of weights in models that earlier versions wrote.
"""
