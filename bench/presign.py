"""Presigned URLs (AWS Signature Version 4), for curl and for what the bench itself asks of the store."""

import datetime
import hashlib
import hmac
import urllib.parse


def presign(method, endpoint, path, access="local", secret="local-secret", region="us-east-1", seconds=3600, query=()):
    """A URL of `endpoint` that allows `method` on `path` (`/bucket/key`) without any further header."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    scope = f"{day}/{region}/s3/aws4_request"
    query = urllib.parse.urlencode(sorted({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{access}/{scope}", "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds), "X-Amz-SignedHeaders": "host", **dict(query),
    }.items()), quote_via=urllib.parse.quote, safe="")
    path = urllib.parse.quote(path)
    host = urllib.parse.urlsplit(endpoint).netloc
    canonical = "\n".join([method, path, query, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"{endpoint}{path}?{query}&X-Amz-Signature={signature}"
