#!/usr/bin/env bash
# s3rver (npm), a common stand-in for Amazon S3 in tests, ignores `If-None-Match: *` on PUT: it answers 200 and replaces the object,
# where S3 has answered 412 Precondition Failed since 2024. Whatever builds a lock or a commit protocol on put-if-absent
# (SlateDB, Delta Lake, Iceberg, Terraform's lock files) passes its tests against it without being protected.
#
# Seen with s3rver 3.7.1 on Node.js 20:
#   PUT If-None-Match:*  first  -> 200
#   PUT If-None-Match:*  second -> 200
#   GET -> second
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-fund --no-audit s3rver@3.7.1 >/dev/null
cat >server.js <<'JS'
const S3rver = require('s3rver');
new S3rver({
  address: '127.0.0.1', port: 0, silent: true, directory: process.argv[2], configureBuckets: [{ name: 'bucket', configs: [] }],
}).run((error, address) => { if (error) throw error; console.log(address.port); });
JS
mkdir data
node server.js "$PWD/data" >port 2>errors &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
cat >client.py <<'PY'
# Signs with AWS signature version 4 by the standard library: nothing but the server is under test.
import datetime, hashlib, hmac, sys, urllib.error, urllib.request

port = int(sys.argv[1])

def call(method, body=b"", headers=None):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    host, path = f"127.0.0.1:{port}", "/bucket/key"
    digest = hashlib.sha256(body).hexdigest()
    signed = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(signed))
    canonical = "\n".join([method, path, "", *(f"{k}:{signed[k]}" for k in sorted(signed)), "", names, digest])
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4S3RVER"
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    auth = f"AWS4-HMAC-SHA256 Credential=S3RVER/{scope}, SignedHeaders={names}, Signature={signature}"
    request = urllib.request.Request(f"http://{host}{path}", data=body if method == "PUT" else None, method=method)
    for name, value in {**signed, **(headers or {}), "Authorization": auth}.items():
        if name != "host":
            request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

for word in ("first", "second"):
    print(f"PUT If-None-Match:*  {word} ->", call("PUT", word.encode(), {"If-None-Match": "*"})[0])
print("GET ->", call("GET")[1].decode())
PY
python3 client.py "$(cat port)" | tee seen
diff seen - <<'EXPECTED'
PUT If-None-Match:*  first -> 200
PUT If-None-Match:*  second -> 200
GET -> second
EXPECTED
echo "as described"
