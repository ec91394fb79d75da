// Reads a password from standard input and prints what a users file holds instead of it.
import { randomBytes, scryptSync } from 'node:crypto'
import { readFileSync } from 'node:fs'

const password = readFileSync(0, 'utf8').replace(/\r?\n$/, '')
const salt = randomBytes(16)
console.log(`${salt.toString('hex')}:${scryptSync(password, salt, 32).toString('hex')}`)
