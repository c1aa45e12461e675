"""What judge and child exchange: frames, values of exact types, and objects that both know by number.

Imports the standard library only.
"""
