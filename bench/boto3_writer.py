"""The writer to compare with: what a few lines of boto3 do. Serial parts of 5 MiB from standard input.

    boto3_writer.py BUCKET KEY
"""

import sys

import boto3

PART = 5 * 1024 * 1024


def live_read(params, **_):
    params["headers"]["x-backblaze-live-read-enabled"] = "true"


def main():
    bucket, key = sys.argv[1:3]
    s3 = boto3.client("s3")
    s3.meta.events.register("before-call.s3.CreateMultipartUpload", live_read)
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    while data := sys.stdin.buffer.read(PART):
        number = len(parts) + 1
        answer = s3.upload_part(Body=data, PartNumber=number, **upload)
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)


main()
