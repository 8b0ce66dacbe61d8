"""Where bytes come from: disks, buckets, URLs and pipes."""
