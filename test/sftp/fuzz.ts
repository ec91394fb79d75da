import { fuzzCodec } from './fuzz-codec.ts'

/** `npm run fuzz [seconds] [seed]`: goes on with new seeds until the time is over; prints each seed that fails. */
const seconds = Number(process.argv[2] ?? '60')
const first = Number(process.argv[3] ?? Date.now() % 1_000_000_000)
const end = Date.now() + seconds * 1000
let packets = 0
for (let seed = first; Date.now() < end; seed += 1) {
  try {
    packets += (await fuzzCodec({ seed, packets: 20_000 })).packets
  } catch (error) {
    console.error(`seed ${seed}:`, error)
    process.exit(1)
  }
}
console.log(`${packets} packets, seeds from ${first}, nothing found`)
