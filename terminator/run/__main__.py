"""`python -m terminator.run`."""

from terminator.entry import start

if __name__ == "__main__":
    start("terminator.run.command")
