import { fileDescriptors, type FileDescriptor } from '../gen/descriptors.ts'
import {
  ServerReflectionDefinition,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '../gen/reflection/v1.ts'
import { ServerReflectionDefinition as AlphaDefinition } from '../gen/reflection/v1alpha.ts'
import { serve, type ServedService } from '../wire/server.ts'
import { status } from '../wire/status.ts'

/** Says to tools which services there are and what their messages look like, in both versions of the question. */
export function reflectionServices(served: readonly string[]): readonly ServedService[] {
  const names = [...served, ServerReflectionDefinition.fullName, AlphaDefinition.fullName].toSorted()
  const serverReflectionInfo = (requests: AsyncIterable<ServerReflectionRequest>) =>
    answerReflection(requests, names)
  return [
    serve(ServerReflectionDefinition, { serverReflectionInfo }),
    // The two versions have the same messages under two names.
    serve(AlphaDefinition, { serverReflectionInfo }),
  ]
}

/** Answers each question about the services called `names`. */
export async function* answerReflection(
  requests: AsyncIterable<ServerReflectionRequest>,
  names: readonly string[],
): AsyncGenerator<ServerReflectionResponse, void, void> {
  for await (const request of requests) yield answerTo(request, names)
}

function answerTo(request: ServerReflectionRequest, names: readonly string[]): ServerReflectionResponse {
  const answer = { validHost: request.host, originalRequest: request }
  const asked = request.messageRequest
  switch (asked?.$case) {
    case 'listServices':
      return {
        ...answer,
        messageResponse: {
          $case: 'listServicesResponse',
          value: { service: names.map((name) => ({ name })) },
        },
      }
    case 'fileByFilename':
      return { ...answer, messageResponse: filesFor((file) => file.name === asked.value) }
    case 'fileContainingSymbol':
      return { ...answer, messageResponse: filesFor((file) => declares(file.symbols, asked.value)) }
    case 'fileContainingExtension':
    case 'allExtensionNumbersOfType':
    case undefined:
      return { ...answer, messageResponse: unknown }
  }
}

type Answer = NonNullable<ServerReflectionResponse['messageResponse']>

const unknown: Answer = {
  $case: 'errorResponse',
  value: { errorCode: status.notFound, errorMessage: 'There is no such thing in this plugin' },
}

function filesFor(wanted: (file: FileDescriptor) => boolean): Answer {
  const found = fileDescriptors.find(wanted)
  if (found === undefined) return unknown
  const files = [found, ...fileDescriptors.filter((file) => found.needs.includes(file.name))]
  const bytes = files.map(({ descriptor }) => Buffer.from(descriptor, 'base64'))
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto: bytes } }
}

/** Methods and fields are asked for by their full name too: `proto.Auth.CheckUserAndPass`. */
function declares(symbols: readonly string[], asked: string): boolean {
  return symbols.some((symbol) => asked === symbol || asked.startsWith(`${symbol}.`))
}
