"""What every part of the package that talks to an archive needs: how its answers are read."""
