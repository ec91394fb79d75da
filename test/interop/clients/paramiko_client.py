"""paramiko as a command: PORT USER KEY KNOWN_HOSTS OPERATION ARGUMENT..."""
import json
import os
import sys

import paramiko

port, user, key, known_hosts, operation, *args = sys.argv[1:]
ssh = paramiko.SSHClient()
ssh.load_host_keys(known_hosts)
ssh.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
sftp = ssh.open_sftp()

if operation == "put":
    sftp.put(*args)
elif operation == "get":
    sftp.get(*args)
elif operation == "list":
    print(json.dumps(sftp.listdir(args[0])))
elif operation == "rename":
    sftp.posix_rename(*args)
elif operation == "remove":
    sftp.remove(args[0])
elif operation == "reput":
    local, remote = args
    done = sftp.stat(remote).st_size
    with open(local, "rb") as source, sftp.open(remote, "r+b") as target:
        source.seek(done)
        target.seek(done)
        target.set_pipelined(True)
        while chunk := source.read(32768):
            target.write(chunk)
elif operation == "reget":
    remote, local = args
    done = os.path.getsize(local)
    with sftp.open(remote, "rb") as source, open(local, "ab") as target:
        source.seek(done)
        while chunk := source.read(32768):
            target.write(chunk)
ssh.close()
