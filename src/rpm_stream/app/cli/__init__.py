"""The command line: one module a command; ``main.py`` lists them."""
