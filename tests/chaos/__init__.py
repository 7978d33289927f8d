"""Chaos: schedules of faults that follow from a seed, against the programs as users run them.

`python -m tests.chaos --seed 1 --minutes 10` is the command. `schedule.py` decides what happens
after which request, `server.py` is the sandbox that lets it happen, `extraction.py` and `load.py`
run the programs and compare what they leave behind.
"""
