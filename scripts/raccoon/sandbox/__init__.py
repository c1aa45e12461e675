"""The processes that run untrusted programs (caller, judge, zygote, child) and the walls around them.

It imports verdicts, child, exchange and test_texts.
"""
