"""The way from a program and its test to a verdict: how tests run, and which data judge and child exchange.

Imports the standard library only.
"""
