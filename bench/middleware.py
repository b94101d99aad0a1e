"""What the gateway is compared with: a middleware of FastAPI and boto3 that hands on ranges of objects, as such are written."""

import os

import boto3
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse

app = FastAPI()
store = boto3.client("s3")
BUCKET = os.environ["BUCKET_NAME"]


@app.get("/watch")
def watch(v: str, range_header: str = Header("bytes=0-", alias="range")):
    answer = store.get_object(Bucket=BUCKET, Key=v, Range=range_header)
    headers = {"content-range": answer["ContentRange"], "content-length": str(answer["ContentLength"]), "accept-ranges": "bytes"}
    return StreamingResponse(answer["Body"].iter_chunks(64 * 1024), status_code=206, headers=headers, media_type="video/mp4")
