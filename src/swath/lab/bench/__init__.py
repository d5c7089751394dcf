"""How fast the program is: against the machine's own limit, and against plain implementations.

clock.py times things in turn; plain.py is what they are compared with; machine.py, networks.py,
scene.py, addition.py, labour.py and memory.py each measure one part; bench.py puts the parts
together.
"""
