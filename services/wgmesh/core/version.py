"""The version of the program, kept in one place."""

VERSION = "0.1.0"
