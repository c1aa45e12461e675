"""The processes that run untrusted programs and the walls around them: caller, judge, zygote, child.

Standard library alone; knows verdicts.
"""
