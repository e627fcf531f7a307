import { createHash, randomBytes } from 'node:crypto';
import { expectOnlyBonafideErrors, mutatedBytes } from '@bonafide/testing/mutated-bytes';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../../errors/bonafide-error.js';
import {
  LARGEST_EVIDENCE_BYTES,
  formatTpmAnswer,
  formatTpmChallenge,
  formatTpmOffer,
  imaRoom,
  parseTpmAnswer,
  parseTpmChallenge,
  parseTpmOffer,
  quoteExtraData,
  type TpmAnswer,
  type TpmChallenge,
  type TpmOffer,
} from './tpm-evidence.js';

const offer: TpmOffer = {
  version: 1,
  ekCertificate: randomBytes(900),
  ekChain: [randomBytes(700)],
  ekPublic: randomBytes(300),
  akPublic: randomBytes(90),
};
const challenge: TpmChallenge = {
  nonce: randomBytes(32),
  credential: randomBytes(68),
  secret: randomBytes(256),
  banks: ['sha256'],
  pcrs: [0, 7, 23],
  wantsEventLog: true,
  imaFrom: 0,
};
const answer: TpmAnswer = {
  activated: randomBytes(32),
  quotes: [
    {
      bank: 'sha256',
      attest: randomBytes(145),
      signature: randomBytes(72),
      pcrs: new Map([[7, randomBytes(32)]]),
    },
  ],
  eventLog: randomBytes(100),
  ima: { from: 3, list: Buffer.alloc(0) },
  activeBanks: ['sha1', 'sha256'],
};

const MESSAGES: readonly (readonly [string, Buffer, (raw: Buffer) => unknown])[] = [
  ['offer', formatTpmOffer(offer), parseTpmOffer],
  ['challenge', formatTpmChallenge(challenge), parseTpmChallenge],
  ['answer', formatTpmAnswer(answer), parseTpmAnswer],
];

describe('messages of the tpm attestor', () => {
  it.each(MESSAGES)(
    'are good or refused, whatever became of the %s',
    (_name, good, parse) => {
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          expectOnlyBonafideErrors(parse, mutatedBytes(good, seed));
        }),
        { numRuns: 2_500 },
      );
    },
    300_000,
  );

  it('are read as they were written', () => {
    expect(parseTpmOffer(formatTpmOffer(offer))).toEqual(offer);
    expect(parseTpmChallenge(formatTpmChallenge(challenge))).toEqual(challenge);
    expect(parseTpmAnswer(formatTpmAnswer(answer))).toEqual(answer);
    const bare: TpmOffer = { version: 1, ekChain: [], ekPublic: offer.ekPublic, akPublic: offer.akPublic };
    expect(parseTpmOffer(formatTpmOffer(bare))).toEqual(bare);
  });

  it.each<[string, (message: Record<string, unknown>) => void]>([
    ['an unknown field', (message) => (message['more'] = 1)],
    ['another version', (message) => (message['version'] = 2)],
    ['base64 in another form', (message) => (message['ekPublic'] = `${offer.ekPublic.toString('base64')} `)],
    ['too large a key', (message) => (message['akPublic'] = Buffer.alloc(1025).toString('base64'))],
    ['an empty key', (message) => (message['akPublic'] = '')],
    ['too long a chain', (message) => (message['ekChain'] = Array.from({ length: 9 }, () => 'AAAA'))],
    ['a missing field', (message) => delete message['akPublic']],
  ])('are refused with %s', (_case, change) => {
    const message = JSON.parse(formatTpmOffer(offer).toString()) as Record<string, unknown>;
    change(message);
    expect(() => parseTpmOffer(Buffer.from(JSON.stringify(message)))).toThrow('TPM offer');
  });

  it('are refused when a name is there twice, a bank is, or half a credential', () => {
    const twice = formatTpmOffer(offer).toString().replace('{', '{"version":1,');
    expect(() => parseTpmOffer(Buffer.from(twice))).toThrow(BonafideError);
    const { nonce, credential = Buffer.alloc(1), banks, pcrs } = challenge;
    const half = { nonce, credential, banks, pcrs, wantsEventLog: false };
    expect(() => parseTpmChallenge(formatTpmChallenge(half))).toThrow('go together');
    const [quote] = answer.quotes;
    const both = { ...answer, quotes: quote === undefined ? [] : [quote, quote] };
    expect(() => parseTpmAnswer(formatTpmAnswer(both))).toThrow('a bank twice');
  });

  it('never grow beyond what a call may carry, whatever the logs have', () => {
    const large = { ...answer, eventLog: Buffer.alloc(2 * 1024 * 1024) };
    const list = Buffer.alloc(imaRoom(large));
    expect(list.length).toBeGreaterThan(512 * 1024);
    const whole = formatTpmAnswer({ ...large, ima: { from: Number.MAX_SAFE_INTEGER, list } });
    expect(whole.length).toBeLessThanOrEqual(LARGEST_EVIDENCE_BYTES);
    expect(parseTpmAnswer(whole).ima?.list.length).toBe(list.length);
    const more = formatTpmAnswer({ ...large, ima: { from: 0, list: Buffer.alloc(list.length + 64) } });
    expect(() => parseTpmAnswer(more)).toThrow(`more than ${LARGEST_EVIDENCE_BYTES} bytes`);
  });

  it.each([
    ['{', '[],', ']}'],
    ['{"quotes":[', '1,', '1]}'],
    ['{"quotes":[{"pcrs":{', '"1":"",', '"2":""}}]}'],
    ['{"quotes":', '[', ''],
  ])('are refused unread when there are more values in them than any has: %s%s', (start, unit, end) => {
    const count = Math.floor((LARGEST_EVIDENCE_BYTES - start.length - end.length) / unit.length);
    const message = Buffer.from(start + unit.repeat(count) + end);
    expect(() => parseTpmAnswer(message)).toThrow('TPM answer: more than 1024 values');
    expect(() => parseTpmOffer(message)).toThrow('TPM offer: more than 131072 bytes');
    expect(() => parseTpmChallenge(message)).toThrow('TPM challenge: more than 16384 bytes');
  });

  it('have room for all that they may have', () => {
    const largest = { ...offer, ekCertificate: randomBytes(8192), ekPublic: randomBytes(1024) };
    const ekChain = Array.from({ length: 8 }, () => randomBytes(8192));
    const whole = { ...largest, ekChain, akPublic: randomBytes(1024) };
    const written = formatTpmOffer(whole);
    expect(formatTpmOffer(parseTpmOffer(written)).equals(written)).toBe(true);
    const pcrs = new Map(Array.from({ length: 24 }, (_, pcr) => [pcr, randomBytes(64)] as const));
    const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
    const quotes = banks.map((bank) => ({
      ...{ bank, pcrs, attest: randomBytes(1024), signature: randomBytes(1024) },
    }));
    const all = { ...answer, quotes, activeBanks: [...banks], eventLog: randomBytes(2 * 1024 * 1024) };
    const { eventLog, quotes: read } = parseTpmAnswer(formatTpmAnswer(all));
    expect(read).toEqual(quotes);
    expect(eventLog?.equals(all.eventLog)).toBe(true);
  });

  it('bind a quote to one nonce and one key', () => {
    const bound = createHash('sha256').update('csr').digest();
    const data = quoteExtraData(challenge.nonce, bound);
    const plain = Buffer.concat([Buffer.from('bonafide tpm quote v1\0'), challenge.nonce, bound]);
    expect(data).toEqual(createHash('sha256').update(plain).digest());
  });
});
