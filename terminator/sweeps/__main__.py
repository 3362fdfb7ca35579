"""`python -m terminator.sweeps`."""

from terminator.entry import start

if __name__ == "__main__":
    start("terminator.sweeps.commands")
