"""The page about a run, from its logs alone. Knows runs."""
