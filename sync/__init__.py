"""The engine room: when, in which order, exactly once.

`pull -> store -> resolve -> gather -> score -> qualify -> assign -> plan -> write -> settle`
"""
