"""What a person types: `parser` and its parts say it in words, one file per verb carries it out.

A verb has `run(arguments) -> exit code`, its further commands `run_...`. What cannot be done is raised as a SekishoError;
`__main__` makes one line and exit code 2 of it. A module is imported when its verb runs, and not before.
"""
