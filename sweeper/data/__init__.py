"""What to train on: finding, decoding, splitting, augmenting and feeding pictures.

`catalog` and `folders` import no torch, so that a study file can be checked against its data set at once.
"""
