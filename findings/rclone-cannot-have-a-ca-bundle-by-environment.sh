#!/usr/bin/env bash
# rclone's S3 backend and AWS_CA_BUNDLE: the variable that all tools of AWS take (and that many machines set for everything, for a
# company's or a test's own authority) does not add a certificate to rclone 1.60: with a valid bundle, and for an endpoint that
# does not even use TLS, no S3 remote can be created ("LoadCustomCABundleError .. unsupported transport, *fshttp.Transport"),
# because the AWS SDK can only put the bundle into its own kind of HTTP transport. The error comes before any request.
# rclone's own flag --ca-cert does what the variable was meant to, once that is unset.
#
# Seen with rclone 1.60.1 (Debian 12); nothing listens at the endpoint, so "connection refused" is what is right:
#   without AWS_CA_BUNDLE: connection refused
#   with AWS_CA_BUNDLE: LoadCustomCABundleError
#   with --ca-cert: connection refused
set -euo pipefail
command -v rclone >/dev/null || apt-get install --yes --quiet rclone >/dev/null
[ -e /etc/ssl/certs/ca-certificates.crt ] || apt-get install --yes --quiet ca-certificates >/dev/null
rclone version | grep -q '^rclone v1\.60\.1' || { echo "written for rclone 1.60.1, found: $(rclone version | head -n 1)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=/etc/ssl/certs/ca-certificates.crt
list() {
    local said
    said=$(rclone lsd ':s3:' --config "$work/none" --s3-provider Other --s3-endpoint http://127.0.0.1:9 \
        --s3-access-key-id key --s3-secret-access-key secret --retries 1 --low-level-retries 1 "$@" 2>&1 || true)
    case $said in
        *LoadCustomCABundleError*) echo LoadCustomCABundleError ;;
        *"connection refused"*) echo "connection refused" ;;
        *) echo "$said" ;;
    esac
}
unset AWS_CA_BUNDLE
{
    echo "without AWS_CA_BUNDLE: $(list)"
    echo "with AWS_CA_BUNDLE: $(AWS_CA_BUNDLE=$bundle list)"
    echo "with --ca-cert: $(list --ca-cert "$bundle")"
} | tee "$work/seen"
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
without AWS_CA_BUNDLE: connection refused
with AWS_CA_BUNDLE: LoadCustomCABundleError
with --ca-cert: connection refused
SEEN
