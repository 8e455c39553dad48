"""What an artist does with scans: edit, sweep, blend, solve, check. The command line and the server both call it."""
