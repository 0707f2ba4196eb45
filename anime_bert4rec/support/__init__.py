"""What every part of the package may use: errors, text for terminals, whole files, progress bars."""
