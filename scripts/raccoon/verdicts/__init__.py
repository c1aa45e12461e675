"""From one program and its test to a verdict: how tests run, and what crosses between judge and child.

Standard library alone; knows no other room.
"""
