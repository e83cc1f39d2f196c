"""Meeting through a third: an introducer tells two peers of each other, and both punch at one moment.

Owns    OFFER and START, the schedule of the punches.
Start   layer.py.
"""
