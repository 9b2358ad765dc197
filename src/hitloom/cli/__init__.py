"""The command line: thin verbs, each importing what it needs inside the command."""
