"""What a journey means: a library that starts no process and owns no clock."""
