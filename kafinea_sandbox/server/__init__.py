"""HTTP: requests, answers, faults, and the control of a running sandbox."""
