import { fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { describe, expect, it } from 'vitest'
import { answerReflection } from '../../src/sdk/reflection.ts'
import type { ServerReflectionRequest, ServerReflectionResponse } from '../../src/gen/reflection/v1.ts'

describe('reflection', () => {
  it('lists the services', async () => {
    const [answer] = await ask({ $case: 'listServices', value: '' })
    expect(answer).toMatchObject({
      value: { service: [{ name: 'grpc.health.v1.Health' }, { name: 'proto.Auth' }] },
    })
  })

  it.each([
    ['a service', 'proto.Auth'],
    ['a method', 'proto.Auth.CheckUserAndPass'],
    ['a message', 'proto.AuthResponse'],
  ])('describes %s with the file it is in', async (_what, value) => {
    const [answer] = await ask({ $case: 'fileContainingSymbol', value })
    expect(namesIn(answer)).toEqual(['slots/auth.proto'])
  })

  it('sends the files that a file needs', async () => {
    const [answer] = await ask({ $case: 'fileByFilename', value: 'slots/notifier.proto' })
    expect(namesIn(answer)).toEqual(['slots/notifier.proto', 'google/protobuf/empty.proto'])
  })

  it.each<ServerReflectionRequest['messageRequest']>([
    { $case: 'fileContainingSymbol', value: 'proto.Nothing' },
    { $case: 'fileByFilename', value: '../../etc/passwd' },
    { $case: 'allExtensionNumbersOfType', value: 'proto.AuthResponse' },
    undefined,
  ])('knows nothing about %j', async (question) => {
    const [answer] = await ask(question)
    expect(answer).toMatchObject({ $case: 'errorResponse', value: { errorCode: 5 } })
  })
})

async function ask(...questions: ServerReflectionRequest['messageRequest'][]) {
  async function* requests() {
    for (const messageRequest of questions) yield { host: 'h', messageRequest }
  }
  const answers: ServerReflectionResponse['messageResponse'][] = []
  for await (const answer of answerReflection(
    requests(),
    ['proto.Auth', 'grpc.health.v1.Health'].toSorted(),
  )) {
    expect(answer.validHost).toBe('h')
    answers.push(answer.messageResponse)
  }
  return answers
}

function namesIn(answer: ServerReflectionResponse['messageResponse']): string[] {
  if (answer?.$case !== 'fileDescriptorResponse') return []
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
}
