"""What we promise about speed, as programs that print the figure, its reference and their ratio."""
