// ssh2-sftp-client as a command: PORT USER KEY KNOWN_HOSTS OPERATION ARGUMENT...
import { createReadStream, createWriteStream, readFileSync, statSync } from 'node:fs'
import SftpClient from 'ssh2-sftp-client'

const [port, username, key, , operation, ...args] = process.argv.slice(2)
const sftp = new SftpClient()
await sftp.connect({ host: '127.0.0.1', port: Number(port), username, privateKey: readFileSync(key) })
switch (operation) {
  case 'put':
    await sftp.fastPut(args[0], args[1])
    break
  case 'get':
    await sftp.fastGet(args[0], args[1])
    break
  case 'list':
    process.stdout.write(JSON.stringify((await sftp.list(args[0])).map(({ name }) => name)))
    break
  case 'rename':
    await sftp.posixRename(args[0], args[1])
    break
  case 'remove':
    await sftp.delete(args[0])
    break
  case 'reput': {
    const { size } = await sftp.stat(args[1])
    await sftp.put(createReadStream(args[0], { start: size }), args[1], {
      writeStreamOptions: { flags: 'r+', start: size },
    })
    break
  }
  case 'reget': {
    const { size } = statSync(args[1])
    await sftp.get(args[0], createWriteStream(args[1], { flags: 'a' }), {
      readStreamOptions: { start: size },
    })
    break
  }
}
await sftp.end()
