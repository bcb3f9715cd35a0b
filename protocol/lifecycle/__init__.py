"""The rules of a case: tables of transitions, the pure fold over a thread, deadlines and clocks.

It never knows on which desk it runs, and never reads the time: ``now`` is given.
"""
