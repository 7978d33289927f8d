"""The command `kafinea verify`: whether a warehouse has what the instance has.

`command` is the command line. The other files know neither click nor rich.
"""
