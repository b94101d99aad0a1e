"""What requests cost, by the price lists of November 2026, in dollars for one request."""

DATE = "2026-11"

# Backblaze B2: uploads (start, parts, completion) are free; the first 2,500 a day of either other kind are free too,
# and not taken off here.
BACKBLAZE = {"uploads": 0.0, "reads": 0.004 / 10_000, "lists": 0.004 / 1_000}

# Amazon S3 Standard: PUT, POST and LIST; GET and all others.
AMAZON = {"uploads": 0.005 / 1_000, "reads": 0.0004 / 1_000, "lists": 0.005 / 1_000}


def dollars(requests, prices):
    """Of counts by kind."""
    return sum(prices[kind] * count for kind, count in requests.items())
