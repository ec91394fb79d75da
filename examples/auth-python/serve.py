"""Everything that a go-plugin host expects of a plugin: cookie, first line, mutual TLS, controller, health, log lines."""

import base64
import datetime
import json
import os
import sys
import tempfile
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

# Compiled from the protos of sftpgo-ts; other field numbers would be another protocol.
FILES = [
    "Chtnb29nbGUvcHJvdG9idWYvZW1wdHkucHJvdG8SD2dvb2dsZS5wcm90b2J1ZiIHCgVFbXB0eUJ9ChNjb20uZ29vZ2xlLnByb3RvYnVmQgpFbXB0eVByb3RvUAFaLmdvb2dsZS5nb2xhbmcub3JnL3Byb3RvYnVmL3R5cGVzL2tub3duL2VtcHR5cGL4AQGiAgNHUEKqAh5Hb29nbGUuUHJvdG9idWYuV2VsbEtub3duVHlwZXNiBnByb3RvMw==",
    "ChBzbG90cy9hdXRoLnByb3RvEgVwcm90byKRAQoXQ2hlY2tVc2VyQW5kUGFzc1JlcXVlc3QSGgoIdXNlcm5hbWUYASABKAlSCHVzZXJuYW1lEhoKCHBhc3N3b3JkGAIgASgJUghwYXNzd29yZBIOCgJpcBgDIAEoCVICaXASGgoIcHJvdG9jb2wYBCABKAlSCHByb3RvY29sEhIKBHVzZXIYBSABKAxSBHVzZXIikgEKGkNoZWNrVXNlckFuZFRMU0NlcnRSZXF1ZXN0EhoKCHVzZXJuYW1lGAEgASgJUgh1c2VybmFtZRIYCgd0bHNDZXJ0GAIgASgJUgd0bHNDZXJ0Eg4KAmlwGAMgASgJUgJpcBIaCghwcm90b2NvbBgEIAEoCVIIcHJvdG9jb2wSEgoEdXNlchgFIAEoDFIEdXNlciKSAQocQ2hlY2tVc2VyQW5kUHVibGljS2V5UmVxdWVzdBIaCgh1c2VybmFtZRgBIAEoCVIIdXNlcm5hbWUSFgoGcHViS2V5GAIgASgJUgZwdWJLZXkSDgoCaXAYAyABKAlSAmlwEhoKCHByb3RvY29sGAQgASgJUghwcm90b2NvbBISCgR1c2VyGAUgASgMUgR1c2VyIoQBCiZDaGVja1VzZXJBbmRLZXlib2FyZEludGVyYWN0aXZlUmVxdWVzdBIaCgh1c2VybmFtZRgBIAEoCVIIdXNlcm5hbWUSDgoCaXAYAiABKAlSAmlwEhoKCHByb3RvY29sGAMgASgJUghwcm90b2NvbBISCgR1c2VyGAQgASgMUgR1c2VyIiIKDEF1dGhSZXNwb25zZRISCgR1c2VyGAEgASgMUgR1c2VyIscBChNLZXlib2FyZEF1dGhSZXF1ZXN0EhwKCXJlcXVlc3RJRBgBIAEoCVIJcmVxdWVzdElEEhoKCHVzZXJuYW1lGAIgASgJUgh1c2VybmFtZRIaCghwYXNzd29yZBgDIAEoCVIIcGFzc3dvcmQSDgoCaXAYBCABKAlSAmlwEhgKB2Fuc3dlcnMYBSADKAlSB2Fuc3dlcnMSHAoJcXVlc3Rpb25zGAYgAygJUglxdWVzdGlvbnMSEgoEc3RlcBgHIAEoBVIEc3RlcCK2AQoUS2V5Ym9hcmRBdXRoUmVzcG9uc2USIgoMaW5zdHJ1Y3Rpb25zGAEgASgJUgxpbnN0cnVjdGlvbnMSHAoJcXVlc3Rpb25zGAIgAygJUglxdWVzdGlvbnMSFAoFZWNob3MYAyADKAhSBWVjaG9zEh8KC2F1dGhfcmVzdWx0GAQgASgFUgphdXRoUmVzdWx0EiUKDmNoZWNrX3Bhc3N3b3JkGAUgASgFUg1jaGVja1Bhc3N3b3JkMqwDCgRBdXRoEkcKEENoZWNrVXNlckFuZFBhc3MSHi5wcm90by5DaGVja1VzZXJBbmRQYXNzUmVxdWVzdBoTLnByb3RvLkF1dGhSZXNwb25zZRJNChNDaGVja1VzZXJBbmRUTFNDZXJ0EiEucHJvdG8uQ2hlY2tVc2VyQW5kVExTQ2VydFJlcXVlc3QaEy5wcm90by5BdXRoUmVzcG9uc2USUQoVQ2hlY2tVc2VyQW5kUHVibGljS2V5EiMucHJvdG8uQ2hlY2tVc2VyQW5kUHVibGljS2V5UmVxdWVzdBoTLnByb3RvLkF1dGhSZXNwb25zZRJlCh9DaGVja1VzZXJBbmRLZXlib2FyZEludGVyYWN0aXZlEi0ucHJvdG8uQ2hlY2tVc2VyQW5kS2V5Ym9hcmRJbnRlcmFjdGl2ZVJlcXVlc3QaEy5wcm90by5BdXRoUmVzcG9uc2USUgoXU2VuZEtleWJvYXJkQXV0aFJlcXVlc3QSGi5wcm90by5LZXlib2FyZEF1dGhSZXF1ZXN0GhsucHJvdG8uS2V5Ym9hcmRBdXRoUmVzcG9uc2VCKVonZ2l0aHViLmNvbS9zZnRwZ28vc2RrL3BsdWdpbi9hdXRoL3Byb3RvYgZwcm90bzM=",
]
SERVICE = "proto.Auth"

if os.environ.get("SFTPGO_PLUGIN_AUTH") != "d1ed507d-d2be-4a38-a460-6fe0b2cc7efc":
    sys.exit("This program is a plugin: a server starts it, and not people")
try:
    os.close(3)  # the sealed copy of this program, where the host handed it over
except OSError:
    pass

settings = json.loads(os.environ.get("SFTPGO_TS_PLUGIN_SETTINGS") or "{}")


def log(level, message, **fields):
    """A line for the host's log. The host wants exactly six digits of a second."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    record = {**fields, "@level": level, "@message": str(message), "@timestamp": now}
    print(json.dumps(record, default=str), file=sys.stderr, flush=True)


def serve(plugin):
    """Serves the methods of `plugin` until the host says that it is over."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.max_receive_message_length", -1)]
    )
    empty = empty_pb2.Empty

    def shutdown(_asked, _context):
        server.stop(0)
        return empty()

    add(server, SERVICE, slot_methods(plugin))
    add(server, "plugin.GRPCController", {"Shutdown": (shutdown, empty)})
    add(server, "grpc.health.v1.Health", {"Check": (lambda _asked, _context: b"\x08\x01", None)})
    announced, path = listen(server)
    server.start()
    print(f"1|1|unix|{path}|grpc|{announced}", flush=True)
    server.wait_for_termination()


def slot_methods(plugin):
    pool = descriptor_pool.Default()
    for text in FILES:
        file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text))
        if file.name != "google/protobuf/empty.proto":
            pool.Add(file)
    kind = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    methods = {}
    for method in pool.FindServiceByName(SERVICE).methods:
        own = getattr(plugin, method.name, None)
        if own is not None:
            reply = kind(method.output_type)
            methods[method.name] = (lambda asked, context, own=own, reply=reply: own(asked, reply, context), kind(method.input_type))
    return methods


def add(server, service, methods):
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=None if kind is None else kind.FromString,
            response_serializer=None if kind is None else (lambda one: one.SerializeToString()),
        )
        for name, (function, kind) in methods.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])


def listen(server):
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp()
    path = f"{folder}/plugin{os.getpid()}"
    host = os.environ.get("PLUGIN_CLIENT_CERT")
    if not host:
        server.add_insecure_port(f"unix:{path}")
        return "", path
    key, certificate, der = identity()
    server.add_secure_port(f"unix:{path}", grpc.ssl_server_credentials([(key, certificate)], host.encode(), True))
    return base64.b64encode(der).decode().rstrip("="), path


def identity():
    """A key and a certificate for this life only."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.ExtendedKeyUsage(usages), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, certificate.public_bytes(pem), certificate.public_bytes(serialization.Encoding.DER)
