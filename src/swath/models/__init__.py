"""The networks: one file an architecture, one registry line each; plus fusion controls and storage.

network.py says what a network must be; unet.py and convlstm.py are the paper's; registry.py names
what can be built; spec.py is model.json, trained.py stores and loads; head.py turns logits into
PMaps; fusion.py holds the controls that need no training. spec.py, names.py and fusion.py need no
torch.
"""
