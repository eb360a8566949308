"""The command line, with one module for each command. ``main.py`` lists them."""
