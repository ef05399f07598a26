"""What pages are put together from: each part of a page that is more than some lines, a file."""
