#!/usr/bin/env bash
# moto's S3 server and regions: requests for a bucket of one region that are signed for another succeed, as do those signed for a
# region that does not exist; even a HEAD says the bucket's true region in x-amz-bucket-region and answers 200. S3 itself
# refuses them (AuthorizationHeaderMalformed, or a redirect), and so do buckets' users in production who have the wrong region
# set. A test of that mistake passes on moto for the wrong reason, or cannot be written with it.
#
# Seen with moto 5.1.4 and boto3 1.38.0 on Python 3.11; only the credentials are made up:
#   bucket made for eu-west-1
#   put and get, signed for eu-west-1: b'data'
#   put and get, signed for us-west-2: b'data'
#   put and get, signed for nowhere-9: b'data'
#   head, signed for us-west-2: 200 eu-west-1
set -euo pipefail
work=$(mktemp -d)
trap 'kill %1 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[s3,server]==5.1.4' boto3==1.38.0
"$work/venv/bin/moto_server" --host 127.0.0.1 --port 0 >"$work/log" 2>&1 &
port() { sed -n 's/.*Running on http:\/\/127.0.0.1:\([0-9]*\).*/\1/p' "$work/log"; }
for _ in $(seq 100); do [ -n "$(port)" ] && break; sleep 0.2; done
"$work/venv/bin/python" - "http://127.0.0.1:$(port)" <<'PYTHON' | tee "$work/seen"
import sys

import boto3


def client(region):
    return boto3.client(
        "s3", endpoint_url=sys.argv[1], region_name=region, aws_access_key_id="key", aws_secret_access_key="secret"
    )


home = "eu-west-1"
client(home).create_bucket(Bucket="files", CreateBucketConfiguration={"LocationConstraint": home})
print("bucket made for", home)
for region in [home, "us-west-2", "nowhere-9"]:
    s3 = client(region)
    s3.put_object(Bucket="files", Key=region, Body=b"data")
    print(f"put and get, signed for {region}:", s3.get_object(Bucket="files", Key=region)["Body"].read())
answer = client("us-west-2").head_bucket(Bucket="files")["ResponseMetadata"]
print("head, signed for us-west-2:", answer["HTTPStatusCode"], answer["HTTPHeaders"].get("x-amz-bucket-region"))
PYTHON
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
bucket made for eu-west-1
put and get, signed for eu-west-1: b'data'
put and get, signed for us-west-2: b'data'
put and get, signed for nowhere-9: b'data'
head, signed for us-west-2: 200 eu-west-1
SEEN
