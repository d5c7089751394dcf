"""Classical classifiers of single pixels, all dates stacked; scikit-learn has the methods.

methods.py: which there are; sample.py: the pixels that they learn from; maps.py: fitting one and
mapping with it. Nothing is stored but the maps: a fitted classifier lives in one process.
"""
