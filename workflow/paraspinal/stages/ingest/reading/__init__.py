"""Reading files: every header once, in parallel, whatever the tree, the archive or the file may be."""
