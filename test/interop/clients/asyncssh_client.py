"""asyncssh as a command: PORT USER KEY KNOWN_HOSTS OPERATION ARGUMENT..."""
import asyncio
import json
import os
import sys

import asyncssh

port, user, key, known_hosts, operation, *args = sys.argv[1:]


async def main():
    options = dict(username=user, client_keys=[key], known_hosts=known_hosts, config=None, agent_path=None)
    async with asyncssh.connect("127.0.0.1", int(port), **options) as ssh, ssh.start_sftp_client() as sftp:
        if operation == "put":
            await sftp.put(*args)
        elif operation == "get":
            await sftp.get(*args)
        elif operation == "list":
            print(json.dumps([name for name in await sftp.listdir(args[0]) if name not in (".", "..")]))
        elif operation == "rename":
            await sftp.posix_rename(*args)
        elif operation == "remove":
            await sftp.remove(args[0])
        elif operation == "reput":
            local, remote = args
            done = (await sftp.stat(remote)).size
            async with sftp.open(remote, "r+b") as target:
                with open(local, "rb") as source:
                    source.seek(done)
                    await target.seek(done)
                    while chunk := source.read(32768):
                        await target.write(chunk)
        elif operation == "reget":
            remote, local = args
            async with sftp.open(remote, "rb") as source:
                await source.seek(os.path.getsize(local))
                with open(local, "ab") as target:
                    while chunk := await source.read(32768):
                        target.write(chunk)


asyncio.run(main())
