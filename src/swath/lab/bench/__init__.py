"""How fast the program is: against the machine's own limit, and against plain implementations.

clock.py times things in turn; plain.py is what they are compared with; machine.py, networks.py,
wholescene.py, addition.py, labour.py and peak.py each measure one part; suite.py puts the parts
together.
"""
