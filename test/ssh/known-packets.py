"""Prints the table `knownResults` of src/ssh/library-self-test.ts, computed without any of our code.

Needs the Python package "cryptography". Run by hand when a cipher is added: python3 test/ssh/known-packets.py
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305


def numbers(length, start):
    return bytes((start + i * 7) & 0xFF for i in range(length))


def packet(length):
    whole = bytearray(i & 0xFF for i in range(4 + length))
    whole[0:4] = struct.pack(">I", length)
    whole[4] = 8
    return bytes(whole)


def show(name, sealed):
    print(f"  '{name}': '{hashlib.sha256(sealed).hexdigest()[:32]}',")


for bits in (128, 256):
    clear = packet(48)
    sealed = AESGCM(numbers(bits // 8, 1)).encrypt(numbers(12, 50), clear[4:], clear[:4])
    show(f"aes{bits}-gcm@openssh.com", clear[:4] + sealed)


def chacha(key, block, data):
    nonce = struct.pack("<Q", block) + struct.pack(">Q", 0)
    return Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor().update(data)


key = numbers(64, 1)
clear = packet(48)
sealed = chacha(key[32:], 0, clear[:4]) + chacha(key[:32], 1, clear[4:])
sealed += Poly1305.generate_tag(chacha(key[:32], 0, bytes(32)), sealed)
show("chacha20-poly1305@openssh.com", sealed)

macs = {"hmac-sha2-256": ("sha256", 32), "hmac-sha2-512": ("sha512", 64)}
for bits in (128, 192, 256):
    for mac, (digest, length) in macs.items():
        for etm in (True, False):
            clear = packet(48 if etm else 44)
            cipher = Cipher(algorithms.AES(numbers(bits // 8, 1)), modes.CTR(numbers(16, 50))).encryptor()
            sequence = struct.pack(">I", 0)
            mac_key = numbers(length, 100)
            if etm:
                body = clear[:4] + cipher.update(clear[4:])
                tag = hmac.digest(mac_key, sequence + body, digest)
            else:
                tag = hmac.digest(mac_key, sequence + clear, digest)
                body = cipher.update(clear)
            show(f"aes{bits}-ctr {mac}{'-etm@openssh.com' if etm else ''}", body + tag)
