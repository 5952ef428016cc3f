"""Mathematics of the Deep Relational Model: units, chain, inference, likelihood.

Everything here is functions on arrays and frozen records of parameters. Only
NumPy and SciPy are imported.
"""
