"""What somebody needs who is to find a fault from elsewhere: collected, without secrets, in one file."""
