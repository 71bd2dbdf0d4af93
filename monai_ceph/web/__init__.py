"""What servers for browsers share."""
