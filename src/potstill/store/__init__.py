"""What a run keeps on disk while it works: the journal of requests and the packed teacher distributions."""
