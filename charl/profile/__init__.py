"""`charl profile`: where the time of a program's exports goes, by kernel and source line."""
