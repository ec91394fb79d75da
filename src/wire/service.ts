import type { BinaryReader } from '@bufbuild/protobuf/wire'
import type { ServerCall } from './answering.ts'

/** Turns a message into bytes and back; the generated code has one per message. */
export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array }
  decode(bytes: BinaryReader | Uint8Array): T
}

/** One method of a service, as generated from `proto/`. */
export interface MethodDescription {
  readonly name: string
  // `any` computes types only: a codec of one message is not a codec of `unknown`.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly requestType: Codec<any>
  readonly requestStream: boolean
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly responseType: Codec<any>
  readonly responseStream: boolean
}

/** A service, as generated from `proto/`. */
export interface ServiceDescription {
  readonly name: string
  readonly fullName: string
  readonly methods: Readonly<Record<string, MethodDescription>>
}

/** What a method is asked with. */
export type RequestOf<M extends MethodDescription> = M['requestType'] extends Codec<infer T> ? T : never

/** What a method answers. */
export type ReplyOf<M extends MethodDescription> = M['responseType'] extends Codec<infer T> ? T : never

/** What a server says of itself beside every answer: lower-case names, printable ASCII. */
export type Announcements = Readonly<Record<string, string>>

/** What travels beside a request. */
export interface CallOptions {
  /** Ends the call with code `cancelled`. */
  readonly signal?: AbortSignal
  /** Default: the caller's. */
  readonly timeoutMs?: number
  /** Lower-case names; values outside printable ASCII are percent-encoded. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** The asking end of a service: one function per unary method. Each throws only `PluginError`. */
export type Caller<S extends ServiceDescription> = {
  readonly [K in keyof S['methods'] as S['methods'][K] extends Unary ? K : never]: (
    request: RequestOf<S['methods'][K]>,
    options?: CallOptions,
  ) => Promise<ReplyOf<S['methods'][K]>>
}

/** The answering end of a service: one function per method, whatever its shape. */
export type Handlers<S extends ServiceDescription> = {
  readonly [K in keyof S['methods']]: Handler<S['methods'][K]>
}

type Unary = { readonly requestStream: false; readonly responseStream: false }

type Handler<M extends MethodDescription> = M extends Unary
  ? (request: RequestOf<M>, call: ServerCall) => Promise<ReplyOf<M>>
  : M extends { readonly requestStream: false }
    ? (request: RequestOf<M>, call: ServerCall) => AsyncIterable<ReplyOf<M>>
    : (requests: AsyncIterable<RequestOf<M>>, call: ServerCall) => AsyncIterable<ReplyOf<M>>
