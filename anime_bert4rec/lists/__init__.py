"""People's lists: from wherever they come, through SQLite, to numbers in order of time. No torch here."""
