import { PluginError } from '../../base/errors.ts'
import type { KeyboardAuthResponse } from '../../gen/slots/auth.ts'
import { refusalError } from '../answer.ts'
import type { DialogueReply } from './contract.ts'

/** A step's answer in our words. Throws `malformed-reply` where a client could not be asked so. */
export function dialogueReplyFrom(reply: KeyboardAuthResponse): DialogueReply {
  const { instructions, questions, echos, authResult, checkPassword } = reply
  if (authResult === 1) return { next: 'grant' }
  if (authResult !== 0) return { next: 'refuse', reason: `Refused with result ${authResult}`, certain: true }
  if (questions.length === 0 || questions.length !== echos.length) {
    throw malformed(`it has ${questions.length} questions and ${echos.length} echo marks`)
  }
  const texts = [instructions, ...questions]
  if (questions.length > mostQuestions || texts.some((text) => text.length > longestText)) {
    throw malformed('it asks too many or too long questions')
  }
  // With several questions the mark means nothing: there is no one answer to check.
  const check = questions.length === 1 && checkPassword > 0
  return {
    next: 'ask',
    instructions,
    questions: questions.map((text, index) => ({ text, echo: echos[index] ?? false })),
    ...(check && { serverChecks: checkPassword === 2 ? 'totp' : 'password' }),
  }
}

/** An author's answer as a message. A refusal is thrown: hosts then know its reason. */
export function dialogueReplyOf(reply: DialogueReply): KeyboardAuthResponse {
  const nothing = { instructions: '', questions: [], echos: [], authResult: 0, checkPassword: 0 }
  switch (reply.next) {
    case 'grant':
      return { ...nothing, authResult: 1 }
    case 'refuse':
      throw refusalError(reply)
    case 'ask':
      return {
        ...nothing,
        instructions: reply.instructions,
        questions: reply.questions.map((question) => question.text),
        echos: reply.questions.map((question) => question.echo),
        checkPassword: reply.serverChecks === undefined ? 0 : reply.serverChecks === 'totp' ? 2 : 1,
      }
  }
}

const mostQuestions = 32
const longestText = 8_192

function malformed(found: string): PluginError {
  return new PluginError('malformed-reply', `The next step of the dialogue cannot be shown: ${found}`)
}
