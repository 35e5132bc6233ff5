"""What the project costs, each time beside something to compare it with; `make bench` runs all.

These are measurements and no tests: nothing fails because a machine is slow.
"""
