"""How runs are carried out: folds at once, Ray, locks, the console, and what is said of faults."""
