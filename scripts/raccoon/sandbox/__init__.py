"""The processes that run untrusted programs (caller, judge, zygote, child) and the walls around them."""
