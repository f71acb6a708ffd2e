"""The machine: whole writes, locks, signals, faults, devices, workers."""
