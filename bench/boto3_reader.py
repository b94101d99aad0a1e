"""The reader to compare with: what a few lines of boto3 do. Ranges of 5 MiB, one at a time; where there is nothing yet
it lists the open uploads, to see whether the upload is over, and asks again after a second.

    boto3_reader.py BUCKET KEY
"""

import sys
import time

import boto3
from botocore.exceptions import ClientError

RANGE = 5 * 1024 * 1024
POLL = 1


def live_read(params, **_):
    params["headers"]["x-backblaze-live-read-enabled"] = "true"


def main():
    bucket, key = sys.argv[1:3]
    s3 = boto3.client("s3")
    s3.meta.events.register("before-call.s3.GetObject", live_read)
    at, over = 0, False
    while True:
        try:
            answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={at}-{at + RANGE - 1}")
            data = answer["Body"].read()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            at += len(data)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 416:
                if over:
                    return
                uploads = s3.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
                over = not any(upload["Key"] == key for upload in uploads)
                if over:
                    continue
            elif status != 404:
                raise
            time.sleep(POLL)


main()
