"""`charl train`: training without writing a loop.

Enters a program with an export that takes `mut` state and data and returns a loss, and files of data. Leaves a folder: the
trained weights, checkpoints to go on from, a history and its curves. One module a subject: which export and what its
parameters are (program), arrays that fit them (dataset), learning rates (schedule), the state between steps (state), its
files (checkpoint), metrics, the loop itself (loop), and what a person sees (report).
"""
