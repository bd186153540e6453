"""Order and time: clean captures in which one thing is made wrong at one place, and what is found of it."""
