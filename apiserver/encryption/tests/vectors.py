#!/usr/bin/env python3
"""Prints sealed values, made independently of the Rust code, as the table in src/cipher/vectors.rs.

AES comes from Python's `cryptography`; secretbox (XSalsa20 and Poly1305) is written out below and checked against
the vector of the NaCl paper first. Run it again only when the table needs another row.
"""
import struct

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

PLAIN = b"\x01\x0d\x00\x00\x00" + b'{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}'
AAD = b"/registry/core/secrets/default/s"


def key(length):
    return bytes(range(length))


def cbc(k):
    iv = bytes(range(100, 116))
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(k), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(PLAIN) + padder.finalize()) + encryptor.finalize()


def gcm(k, plain=PLAIN):
    nonce = bytes(range(100, 112))
    return nonce + AESGCM(k).encrypt(nonce, plain, AAD)


def seeded(seed):
    info = bytes(range(200, 232))
    return info + gcm(HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(seed))


def salsa_rounds(state):
    x = list(state)

    def quarter(a, b, c, d):
        for target, first, second, bits in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
            total = (x[first] + x[second]) & 0xFFFFFFFF
            x[target] ^= ((total << bits) | (total >> (32 - bits))) & 0xFFFFFFFF

    for _ in range(10):
        for group in ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)):
            quarter(*group)
        for group in ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)):
            quarter(*group)
    return x


def state_of(k, middle):
    sigma = struct.unpack("<4I", b"expand 32-byte k")
    words = struct.unpack("<8I", k)
    m = struct.unpack("<4I", middle)
    return [sigma[0], *words[:4], sigma[1], *m, sigma[2], *words[4:], sigma[3]]


def salsa_block(k, nonce, counter):
    state = state_of(k, nonce + struct.pack("<Q", counter))
    return struct.pack("<16I", *[(a + b) & 0xFFFFFFFF for a, b in zip(salsa_rounds(state), state)])


def hsalsa(k, nonce):
    x = salsa_rounds(state_of(k, nonce))
    return struct.pack("<8I", *[x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)])


def poly1305(k, message):
    r = int.from_bytes(k[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for start in range(0, len(message), 16):
        block = message[start : start + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(k[16:], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def secretbox(k, nonce, plain):
    subkey = hsalsa(k, nonce[:16])
    blocks = (len(plain) + 32) // 64 + 1
    stream = b"".join(salsa_block(subkey, nonce[16:], i) for i in range(blocks))
    sealed = bytes(a ^ b for a, b in zip(plain, stream[32:]))
    return poly1305(stream[:32], sealed) + sealed


def check_secretbox():
    k = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    plain = bytes.fromhex("be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc")
    # The first 32 bytes of the published ciphertext, behind its tag.
    want = bytes.fromhex("8e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a")
    assert secretbox(k, nonce, plain)[16:] == want
    # RFC 8439, 2.5.2.
    poly_key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    assert poly1305(poly_key, b"Cryptographic Forum Research Group").hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def main():
    check_secretbox()
    box_nonce = bytes(range(100, 124))
    rows = [(f"cbc {n}", "Cbc", n, cbc(key(n))) for n in (16, 24, 32)]
    rows += [(f"gcm {n}", "Gcm", n, gcm(key(n))) for n in (16, 24, 32)]
    rows.append(("secretbox", "Secretbox", 32, box_nonce + secretbox(key(32), box_nonce, PLAIN)))
    rows.append(("seed", "Seed", 32, seeded(key(32))))
    for name, kind, length, sealed in rows:
        print(f'    ("{name}", Kind::{kind}, {length}, "{sealed.hex()}"),')


main()
