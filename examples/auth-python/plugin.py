"""Lets in the users of its settings. Everything a host expects of a plugin besides is in serve.py."""

import hashlib
import hmac
import json

import grpc

from serve import serve, settings


class Plugin:
    def CheckUserAndPass(self, asked, reply, context):
        salt, wanted = settings["users"].get(asked.username, "00:").split(":")
        found = hashlib.scrypt(asked.password.encode(), salt=bytes.fromhex(salt), n=16384, r=8, p=1, dklen=32)
        if not hmac.compare_digest(found.hex(), wanted):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "wrong name or password")
        home = f"{settings['home']}/{asked.username}"
        user = {"username": asked.username, "home_dir": home, "permissions": {"/": ["*"]}, "status": 1}
        return reply(user=json.dumps(user).encode())


serve(Plugin())
