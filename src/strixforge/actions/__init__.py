"""What the tasks do, with what the user is told of it: one module for each kind of task.

What only an action needs is imported there: `doit list` and an up-to-date run load none of it.
"""
