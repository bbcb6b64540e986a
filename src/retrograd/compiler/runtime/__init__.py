"""Machine code at run time: assembling, loading, keeping it on disk, threads, and entry from Python."""
