import { createRequire } from 'node:module'

/**
 * The C libraries of this process, or the reason why there are none.
 *
 * Whoever gets `works: false` takes the portable way; nobody fails for want of native code.
 */
export type Native =
  | { readonly works: true; readonly libc: ForeignLibrary; readonly crypto: ForeignLibrary | undefined }
  | { readonly works: false; readonly reason: string }

/** One loaded C library. */
export interface ForeignLibrary {
  /**
   * Makes a C function callable; throws when the library has none of that name.
   *
   * `Signature` is a promise that `definition` keeps: integers up to 64 bits are numbers where they are exact
   * (declare pointers of our own buffers as `uint64_t` and hand in `addressOf`), results above 2^53 are bigints.
   * Nothing checks bounds after this: check them before the call.
   */
  declare<Signature extends (...parameters: never[]) => unknown>(
    definition: string,
  ): ForeignFunction<Signature>
  /** Whether there is a function of that name. */
  has(name: string): boolean
}

/** A C function: called at once on this thread, or with `async` on one of the pool. */
export type ForeignFunction<Signature extends (...parameters: never[]) => unknown> = Signature & {
  async(
    ...parameters: [...Parameters<Signature>, (error: Error | null, result: ReturnType<Signature>) => void]
  ): void
}

/** What native code there is in this process. Looked up once; `SFTPGO_TS_NATIVE=0` says none. */
export function native(): Native {
  found ??= findNative(process.env)
  return found
}

/** As `native`, decided anew from `environment`. */
export function findNative(environment: Readonly<Record<string, string | undefined>>): Native {
  if (environment['SFTPGO_TS_NATIVE'] === '0') return { works: false, reason: 'SFTPGO_TS_NATIVE is 0' }
  try {
    const own = loadLibrary(null)
    return { works: true, libc: own, crypto: findCrypto(own) }
  } catch (error) {
    return { works: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Where the bytes of `buffer` lie. True while the buffer lives: keep it in a field as long as C may look.
 *
 * The buffer must have memory of its own (`Buffer.allocUnsafeSlow`), which the garbage collector never moves.
 */
export function addressOf(buffer: Buffer): number {
  // User space ends at 2^47 (2^56 with five levels, which the kernel hands out on request only): exact as a number.
  return Number(koffi().address(buffer))
}

/** The error number of the last call on this thread, or inside an `async` callback of that call. */
export function lastErrno(): number {
  return koffi().errno()
}

/** A constant once it is known. */
let found: Native | undefined

/** As much of koffi as this folder uses. Its own types say `any`. */
interface Koffi {
  load(path: string | null): { func(definition: string): unknown; symbol(name: string): unknown }
  address(value: Buffer): bigint
  errno(): number
  config(settings: { readonly max_async_calls: number }): unknown
}

let library: Koffi | undefined

function koffi(): Koffi {
  if (library === undefined) {
    // Required at the first use: a machine that cannot load it must still start.
    // koffi's index.d.ts declares these functions with these parameters.
    library = createRequire(import.meta.url)('koffi') as Koffi
    library.config({ max_async_calls: 4096 }) // 256 by default; callers bound their own
  }
  return library
}

function loadLibrary(path: string | null): ForeignLibrary {
  const loaded = koffi().load(path)
  return {
    // The caller vouches for the signature.
    declare: <Signature extends (...parameters: never[]) => unknown>(definition: string) =>
      loaded.func(definition) as ForeignFunction<Signature>,
    has(name) {
      try {
        loaded.symbol(name)
        return true
      } catch {
        return false
      }
    },
  }
}

/** The OpenSSL that Node itself uses: inside its executable, or the system's where Node was linked with that. */
function findCrypto(own: ForeignLibrary): ForeignLibrary | undefined {
  if (own.has('EVP_CIPHER_CTX_new')) return own
  const names = process.platform === 'darwin' ? ['libcrypto.3.dylib'] : ['libcrypto.so.3', 'libcrypto.so.1.1']
  for (const name of names) {
    try {
      const shared = loadLibrary(name)
      if (shared.has('EVP_CIPHER_CTX_new')) return shared
    } catch {
      // Not on this machine: the next name, or none.
    }
  }
  return undefined
}
