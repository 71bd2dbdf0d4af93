"""What the servers for browsers share: who may send requests."""
