"""An auth plugin in Python with grpcio alone: no go-plugin, no SDK, to show that any language will do.

The messages are read and written by hand so that no generated code is needed; a real plugin would generate it from
proto/slots/auth.proto.
"""

import base64
import datetime
import json
import os
import sys
import tempfile
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

COOKIE = ("SFTPGO_PLUGIN_AUTH", "d1ed507d-d2be-4a38-a460-6fe0b2cc7efc")


def messages(path):
    """Message classes from a compiled descriptor, as protoc makes it."""
    files = descriptor_pb2.FileDescriptorSet.FromString(open(path, "rb").read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def identity():
    """A key and a certificate for localhost, for this life only."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(pem),
        certificate.public_bytes(serialization.Encoding.DER),
    )


def serve():
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This program is a plugin: a server starts it")
    message = messages(os.environ["AUTH_DESCRIPTORS"])
    request, reply, empty = message("proto.CheckUserAndPassRequest"), message("proto.AuthResponse"), empty_pb2.Empty

    def check(asked, context):
        if (asked.username, asked.password) == ("ada", "engine"):
            user = {"username": "ada", "home_dir": "/srv/ada", "permissions": {"/": ["*"]}, "status": 1}
            return reply(user=json.dumps(user).encode())
        if asked.username == "down":
            context.abort(grpc.StatusCode.UNAVAILABLE, "directory is down")
        if asked.username == "bug":
            raise ValueError("a bug")
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "wrong näme or password")

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))

    def shutdown(_asked, _context):
        server.stop(0)
        return empty()

    def unary(function, kind):
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=kind.FromString, response_serializer=lambda one: one.SerializeToString()
        )

    services = {
        "proto.Auth": {"CheckUserAndPass": unary(check, request)},
        "plugin.GRPCController": {"Shutdown": unary(shutdown, empty)},
    }
    for name, methods in services.items():
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, methods)])

    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp()
    path = f"{folder}/python-plugin"
    host_certificate = os.environ.get("PLUGIN_CLIENT_CERT")
    announced = ""
    if host_certificate:
        key, pem, der = identity()
        credentials = grpc.ssl_server_credentials([(key, pem)], host_certificate.encode(), True)
        server.add_secure_port(f"unix:{path}", credentials)
        announced = base64.b64encode(der).decode().rstrip("=")
    else:
        server.add_insecure_port(f"unix:{path}")
    server.start()
    print(f"1|1|unix|{path}|grpc|{announced}", flush=True)
    server.wait_for_termination()


serve()
