/** The text that an HTTP message signature is made over (RFC 9421 section 2.5). */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { SignedMessage } from './http-message.js';
import { serializeInnerList, serializeItem, type InnerList, type SfItem } from './structured-field.js';

/** @throws BonafideError `invalid_argument` for a component that is not supported or comes twice; `unauthenticated` for one that the message lacks. */
export function signatureBase(message: SignedMessage, input: InnerList): Buffer {
  const seen = new Set<string>();
  const lines = input.items.map((item) => {
    const identifier = serializeItem(item);
    if (seen.has(identifier)) throw invalidArgument(`the signature covers ${identifier} twice`);
    seen.add(identifier);
    return `${identifier}: ${componentValue(message, item)}`;
  });
  return Buffer.from([...lines, `"@signature-params": ${serializeInnerList(input)}`].join('\n'), 'latin1');
}

function componentValue(message: SignedMessage, item: SfItem): string {
  const { value: name, parameters } = item;
  if (typeof name !== 'string') throw invalidArgument('a component of the signature is not named by a text');
  const isOfRequest = parameters.get('req') === true;
  if (parameters.size > (isOfRequest ? 1 : 0)) throw unsupported(item);
  if (name.startsWith('@')) {
    const value = derivedValue(message, name, isOfRequest);
    if (value === undefined) throw unsupported(item);
    return value;
  }
  if (isOfRequest || !/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name)) throw unsupported(item);
  const lines = message.fields(name);
  if (lines === undefined || lines.length === 0) {
    throw new BonafideError('unauthenticated', `the signature covers the header ${name}, which is not there`);
  }
  return lines.join(', ');
}

function derivedValue(message: SignedMessage, name: string, isOfRequest: boolean): string | undefined {
  const isResponse = 'status' in message;
  if (name === '@status') return isResponse && !isOfRequest ? String(message.status) : undefined;
  if (isResponse !== isOfRequest) return undefined; // `req` belongs to responses, and to them alone
  const { method, target } = isResponse ? message.request : message;
  if (name === '@method') return method;
  return name === '@request-target' ? target : undefined;
}

function unsupported(item: SfItem): Error {
  return invalidArgument(
    `the signature covers ${serializeItem(item).slice(0, 100)}; supported are @method, @request-target, @status and headers`,
  );
}
