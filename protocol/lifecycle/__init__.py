"""The rules of a case: tables of transitions, the pure fold over a thread, and the clocks."""
