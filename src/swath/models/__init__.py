"""The networks: one file an architecture, one registry line each; plus fusion controls and storage.

unet.py and convlstm.py are the paper's; registry.py names what can be built; trained.py stores and
loads; head.py turns logits into PMaps; fusion.py holds the controls that need no training.
"""
