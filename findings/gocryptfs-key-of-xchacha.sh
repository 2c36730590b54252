#!/usr/bin/env bash
# gocryptfs: the master key in gocryptfs.conf is sealed with AES-256-GCM whatever cipher the volume uses. With -xchacha (feature
# flag XChaCha20Poly1305) one expects the 24-byte nonce and the cipher of everything else in the volume. EncryptedKey keeps the
# layout of AES volumes: nonce 16 | key 32 | tag 16, under a key derived from scrypt's with the HKDF info "AES-GCM file content
# encryption", with 8 zero bytes as associated data. A reader that goes by the flag reports a wrong password.
#
# Seen with gocryptfs 2.3 (Debian bookworm) and cryptography 50.0.2 (PyPI):
#   XChaCha20Poly1305 in the flags, 64 bytes of EncryptedKey
#   AES-GCM, info 'AES-GCM file content encryption': authenticates, 32 bytes
#   AES-GCM, info 'XChaCha20-Poly1305 file content encryption': does not authenticate
set -euo pipefail
command -v gocryptfs >/dev/null || apt-get install --yes --quiet gocryptfs >/dev/null
gocryptfs -version | grep -q '^gocryptfs 2\.3;' || { echo "written for gocryptfs 2.3, found: $(gocryptfs -version)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install cryptography==50.0.2
mkdir volume
gocryptfs -init -xchacha -scryptn 10 -extpass 'echo secret' volume >/dev/null
cat >unseal.py <<'PY'
import base64, json
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

config = json.load(open("volume/gocryptfs.conf"))
sealed = base64.b64decode(config["EncryptedKey"])
assert "XChaCha20Poly1305" in config["FeatureFlags"]
print(f"XChaCha20Poly1305 in the flags, {len(sealed)} bytes of EncryptedKey")
scrypt = config["ScryptObject"]
secret = Scrypt(salt=base64.b64decode(scrypt["Salt"]), length=scrypt["KeyLen"], n=scrypt["N"], r=scrypt["R"], p=scrypt["P"])
secret = secret.derive(b"secret")
for info in ("AES-GCM file content encryption", "XChaCha20-Poly1305 file content encryption"):
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info.encode()).derive(secret)
    try:
        plain = AESGCM(key).decrypt(sealed[:16], sealed[16:], bytes(8))
        found = f"authenticates, {len(plain)} bytes"
    except InvalidTag:
        found = "does not authenticate"
    print(f"AES-GCM, info '{info}': {found}")
PY
venv/bin/python unseal.py | tee seen
diff seen - <<'EXPECTED'
XChaCha20Poly1305 in the flags, 64 bytes of EncryptedKey
AES-GCM, info 'AES-GCM file content encryption': authenticates, 32 bytes
AES-GCM, info 'XChaCha20-Poly1305 file content encryption': does not authenticate
EXPECTED
echo "as described"
