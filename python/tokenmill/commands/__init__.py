"""Commands of the command line that belong to no feature: the house, reload, doctor, completion."""
