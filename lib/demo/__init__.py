"""Doubles for the demo and the tests: two Lightning wallets and the APIs we resell, as HTTP servers of their own.

They PRETEND: no bitcoin moves and no model is asked. Nothing else in `lib` imports this package.
"""
